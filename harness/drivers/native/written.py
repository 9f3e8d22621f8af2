"""What has been written in a sandbox since it was made, read from its layers: what nobody touched is not looked at."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.drivers.base import Written
from harness.drivers.native import store
from harness.drivers.native.labels import Found
from harness.errors import DriverFailed
from harness.sandbox.command import program

_ELSEWHERE = ("/run", "/dev/shm", "/tmp")
"""Its own tmpfs; /tmp is one under systemd only."""


def written(found: Found) -> Written:
    """Raises DriverFailed."""
    if found.holder is None:
        raise DriverFailed(f"{found.label.platform}: its sandbox is ending")
    paths = set()
    fields = _listed(found).split(b"\0")
    for layer, relative, opaque in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        target = store.layer_target(os.fsdecode(layer)).rstrip("/")
        paths.add(f"{target}/{os.fsdecode(relative)}")
        if opaque:
            paths.update(_hidden(found, target, os.fsdecode(relative)))
    return Written(frozenset(paths), _ELSEWHERE)


def _hidden(found: Found, target: str, relative: str) -> Iterator[str]:
    """What an opaque folder hides of the layers below."""
    label = found.label
    below = [f"{label.image}/{target}" if label.image else target or "/"]
    for base in label.bases:
        below += map(str, (Path(base) / store.layer_name(target or "/")).glob("[0-9]*"))
    for source in below:
        folder = Path(source) / relative
        for parent, folders, files in os.walk(folder):
            inside = os.path.relpath(parent, folder)
            for name in (*folders, *files):
                yield os.path.normpath(f"{target}/{relative}/{inside}/{name}")


def _listed(found: Found) -> bytes:
    """As root of the host; for an ordinary user as root of the sandbox's user name space, among the holder's mounts."""
    holder = found.holder
    assert holder is not None
    if os.geteuid() == 0:
        argv = program("written", [f"/proc/{holder.pid}/cwd/mounts/layers"])
    else:
        inner = program("written", ["mounts/layers"])
        argv = program("join", ["--pid", str(holder.pid), "--start-time", str(holder.start_time), "--", *inner])
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DriverFailed(f"{found.label.platform}: its layers could not be read: {words}")
    return done.stdout
