"""The private folder of one run of Ansible: whatever it and its ssh leave lies there, and goes with it.

Its name is short, for sockets live in it (108 bytes, unix(7)). Who holds its lock is alive; a folder whose lock is
free was left by a process that was killed, and is removed by the next run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

assert sys.platform != "win32"

_PREFIX = "harness-ansible-"
_LONGEST_BASE = 48
_YOUNG = 60.0
"""Seconds in which a folder without a lock may still be about to get one."""
_MASTER_SECONDS = 5.0

SOCKETS = "cp"
"""Ansible's ControlPath directory, below the folder."""


@contextmanager
def private_folder() -> Iterator[Path]:
    base = Path(tempfile.gettempdir())
    if len(str(base)) > _LONGEST_BASE:
        base = Path("/tmp")
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / ".lock").rename(folder / "lock")
        (folder / SOCKETS).mkdir(mode=0o700)
        yield folder
    finally:
        close_masters(folder / SOCKETS)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def close_masters(sockets: Path) -> None:
    """Ask every ssh master that listens there to end, and wait until it has."""
    with suppress(OSError):
        closing = [
            subprocess.Popen(
                ["ssh", "-F", "none", "-O", "exit", "-o", f"ControlPath={socket}", "harness"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for socket in sockets.iterdir()
        ]
        until = time.monotonic() + _MASTER_SECONDS
        for process in closing:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if status.st_uid == os.getuid() and folder.is_dir() and _abandoned(folder, status.st_mtime):
                close_masters(folder / SOCKETS)
                shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path, changed: float) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - changed > _YOUNG
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
