"""The image that the tests' containers are made from, a folder of ours on the catalogue, so that nothing is pulled; and
what a project has in the daemon."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import daemon

if TYPE_CHECKING:
    from docker.api.client import APIClient

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


@contextmanager
def usual_client() -> Iterator[APIClient]:
    """Of this machine's daemon, BASE being there; what needs it is skipped where it does not work."""
    from harness.drivers.docker import DockerDriver

    problems = DockerDriver().diagnose()
    if problems:
        pytest.skip(str(problems[0]))
    ensure_base()
    opened = daemon.connect(daemon.default_address())
    yield opened
    opened.close()


def of(project: Path) -> dict[str, list[str]]:
    """The daemon's filter for what belongs to a project."""
    from harness.drivers.docker import labels

    return {"label": [f"{labels.PREFIX}project={project}"]}


def of_ours(client: APIClient, project: Path) -> list[str]:
    """Names of a project's containers and networks, and ids of its images."""
    return [
        *(row["Names"][0] for row in client.containers(all=True, filters=of(project))),
        *(row["Name"] for row in client.networks(filters=of(project))),
        *(row["Id"] for row in client.images(filters=of(project))),
    ]
