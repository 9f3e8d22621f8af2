"""The image that the tests' containers are made from: a folder of ours on the catalogue, so that nothing is pulled."""

from __future__ import annotations

import functools
from pathlib import Path

from harness import daemon

BASE = "harness-local/tests:base"


@functools.cache
def ensure_base() -> str:
    """BASE names it: so a test with a cache folder of its own need not make it again. Raises DaemonFailed."""
    from harness.drivers.docker.images import Finder
    from harness.drivers.docker.options import DockerOptions

    client = daemon.connect(daemon.default_address())
    try:
        found = Finder(client, Path("/nonexistent"), DockerOptions(), print).find("debian-12")
        repository, _, tag = BASE.rpartition(":")
        client.tag(found, repository, tag)
    finally:
        client.close()
    return BASE
