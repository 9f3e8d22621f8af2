"""Taking a snapshot: the upper layers copied from the holder while every process inside stands still."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from harness.drivers.base import Snapshot
from harness.drivers.native import freezer, labels, store
from harness.drivers.native.labels import Found
from harness.errors import DriverFailed
from harness.sandbox.command import program

MISSING = ("processes", "/run", "/dev/shm")
"""And /tmp under systemd, which empties it at every boot."""


def take(found: Found, name: str, key: str) -> Snapshot:
    """Raises DriverFailed; then the snapshot that was there before is still there."""
    if found.holder is None:
        raise DriverFailed(f"{found.label.platform}: its sandbox is ending")
    draft = store.home() / name / f".{secrets.token_hex(8)}"
    labels.make_home()
    draft.mkdir(parents=True)
    frozen = False
    try:
        frozen = freezer.freeze(found)
        _copy(found, draft)
        size = _size(found, draft)
        digest = store.layers_digest(draft)
    except BaseException:
        store.discard(draft)
        raise
    finally:
        if frozen:
            freezer.thaw(found)
    label = found.label
    manifest = store.Manifest(
        key=key,
        platform=label.platform,
        project=label.project,
        scenario=label.scenario,
        created=time.time(),
        size=size,
        image=label.image,
        rootless=label.rootless,
        missing=[*MISSING, *(["/tmp"] if label.init == "systemd" else [])],
        digest=digest,
    )
    return store.described(store.publish(name, draft, manifest).manifest)


# cp -a keeps owners, modes, times, extended attributes and the 0/0 devices that are overlayfs's whiteouts. The layers
# below, which only a sandbox on an image has, become hard links: no layer is ever written to again.
_COPY = """
set -e
layers=$1 draft=$2; shift 2
for layer in "$layers"/*; do
    target=$draft/${layer##*/}
    if [ -z "$(ls -A "$layer/upper")" ] && [ $# = 0 ]; then continue; fi
    mkdir "$target"
    cp -a --reflink=auto -- "$layer/upper" "$target/0"
    number=1
    for base; do
        while [ -d "$base/${layer##*/}/$((number - 1))" ]; do
            cp -al -- "$base/${layer##*/}/$((number - 1))" "$target/$number"
            number=$((number + 1))
        done
    done
done
"""


def _copy(found: Found, draft: Path) -> None:
    assert found.holder is not None
    # The holder's working folder is the sandbox's; its layers are mounted for the holder alone.
    layers = f"/proc/{found.holder.pid}/cwd/mounts/layers" if _root() else "mounts/layers"
    bases = found.label.bases if found.label.image else []  # over the host's root a sandbox began with a copy
    _run(found, ["sh", "-c", _COPY, "sh", layers, str(draft), *bases])


def _size(found: Found, folder: Path) -> int:
    return int(_run(found, ["du", "-s", "--block-size=1", "--", str(folder)]).split()[0])


def _root() -> bool:
    return os.geteuid() == 0


def _run(found: Found, command: Sequence[str]) -> str:
    """As root of the host; for an ordinary user as root of the sandbox's user name space, among the holder's mounts."""
    assert found.holder is not None
    argv = list(command)
    if not _root():
        holder = found.holder
        argv = program("join", ["--pid", str(holder.pid), "--start-time", str(holder.start_time), "--", *argv])
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    if done.returncode != 0:
        words = done.stderr.strip().rpartition("\n")[2]
        raise DriverFailed(f"{found.label.platform}: the snapshot could not be taken: {words}")
    return done.stdout
