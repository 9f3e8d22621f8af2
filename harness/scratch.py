"""Temporary folders that do not outlive their process, be it killed: who holds a folder's lock is alive; one whose lock
is free was left, and is removed when the next folder of its kind is made."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_YOUNG = 60.0
"""Seconds in which a folder without a lock may still be about to get one."""
_LOCK = "lock"


@contextmanager
def scratch(
    kind: str, *, base: Path | None = None, end: Callable[[Path], None] = lambda folder: None
) -> Iterator[Path]:
    """A folder `harness-KIND-...` in `base` (where temporary files go unless given). `end` is called with each folder,
    our own or one that was left, before it is removed. Raises OSError."""
    base = base or Path(tempfile.gettempdir())
    if sys.platform == "win32":  # a file that is open there cannot be removed
        with tempfile.TemporaryDirectory(prefix=f"harness-{kind}-", dir=base) as name:
            yield Path(name)
            end(Path(name))
        return
    import fcntl

    sweep(kind, base=base, end=end)
    folder = Path(tempfile.mkdtemp(prefix=f"harness-{kind}-", dir=base))
    lock = os.open(folder / f".{_LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / f".{_LOCK}").rename(folder / _LOCK)
        yield folder
    finally:
        end(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(kind: str, *, base: Path | None = None, end: Callable[[Path], None] = lambda folder: None) -> None:
    """Remove those of this kind that were left."""
    if sys.platform == "win32":
        return
    for folder in (base or Path(tempfile.gettempdir())).glob(f"harness-{kind}-*"):
        with suppress(OSError):
            status = folder.lstat()
            if status.st_uid == os.getuid() and folder.is_dir() and _abandoned(folder, status.st_mtime):
                end(folder)
                shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path, changed: float) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - changed > _YOUNG
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
