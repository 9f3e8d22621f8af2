"""Taking a snapshot: the upper layers copied from the holder while every process inside stands still."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.drivers.base import Snapshot
from harness.drivers.native import freezer, store
from harness.drivers.native.labels import Found
from harness.errors import DriverFailed
from harness.sandbox.command import program

assert sys.platform == "linux"

MISSING = ("processes", "/run", "/dev/shm")


def take(found: Found, name: str, key: str) -> Snapshot:
    """Raises DriverFailed; then the snapshot that was there before is still there."""
    if found.holder is None:
        raise DriverFailed(f"{found.label.platform}: its sandbox is ending")
    draft = store.home() / name / f".{secrets.token_hex(8)}"
    draft.mkdir(parents=True)
    frozen = False
    try:
        frozen = freezer.freeze(found)
        _copy(found, draft)
        size = _size(found, draft)
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
        missing=list(MISSING),
    )
    return store.described(store.publish(name, draft, manifest).manifest)


def _copy(found: Found, draft: Path) -> None:
    """`cp -a` keeps owners, modes, times, extended attributes and the 0/0 devices that are overlayfs's whiteouts."""
    assert found.holder is not None
    # The holder's working folder is the sandbox's; its layers are mounted for the holder alone.
    layers = f"/proc/{found.holder.pid}/cwd/mounts/layers" if _root() else "mounts/layers"
    listing = _run(found, ["ls", "-1", layers]).split()
    for layer in listing:
        target = draft / layer
        target.mkdir()
        _run(found, ["cp", "-a", "--reflink=auto", "--", f"{layers}/{layer}/upper", str(target / "0")])
        if found.label.image:  # over the host's root a sandbox began with a copy
            for base in found.label.bases:
                _link_earlier(found, Path(base) / layer, target)


def _link_earlier(found: Found, base: Path, target: Path) -> None:
    """The layers below, as hard links: no layer is ever written to again."""
    for number, earlier in enumerate(sorted(base.iterdir(), key=lambda one: int(one.name)) if base.is_dir() else []):
        _run(found, ["cp", "-al", "--", str(earlier), str(target / str(number + 1))])


def _size(found: Found, folder: Path) -> int:
    return int(_run(found, ["du", "-s", "--block-size=1", "--", str(folder)]).split()[0])


def _root() -> bool:
    import os

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
