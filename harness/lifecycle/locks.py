"""Locks that die with their process, and tell who holds them.

POSIX record locks (fcntl(2), "Advisory record locking"), not flock: they belong to the process and are not
inherited by fork, so that the process that holds a sandbox open never keeps the lock of the verb that made it.
The price: closing ANY descriptor of the file in the holding process drops the lock, so a holder never reads its
own lock file again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from harness.deadline import Deadline, poll
from harness.errors import HarnessError, Locked


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. `since` is Unix time in seconds."""

    pid: int
    verb: str
    since: float

    def __str__(self) -> str:
        when = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"pid {self.pid} (harness {self.verb}, since {when})"


class Lock:
    """An exclusive lock on a file, free again when this process ends, however it ends."""

    held: ClassVar[set[Path]] = set()
    """By this process. The kernel keeps these locks by process, too, and would give them to their owner again."""

    def __init__(self, path: Path, *, remove: bool = False) -> None:
        """`remove`: the file goes when the lock is released (a lock that no other process will want again)."""
        self.path = path
        self._remove = remove
        self._descriptor: int | None = None

    def acquire(
        self, verb: str, *, timeout: float = 0.0, on_wait: Callable[[Holder | None], None] | None = None
    ) -> Self:
        """Take it, waiting up to `timeout` seconds; `on_wait` is told once who holds it. Raises Locked."""
        if self.path in Lock.held:
            raise Locked(f"{self.path.stem} is in use by this very process")
        descriptor = self._open()
        told = False

        def attempt(last: bool) -> bool | None:
            nonlocal told
            if _try_lock(descriptor):
                return True
            if not told and on_wait is not None:
                told = True
                on_wait(_read_holder(descriptor))
            return None

        try:
            if not poll(attempt, Deadline(timeout), interval=0.02, slowest=0.2):
                holder = _read_holder(descriptor)
                raise Locked(
                    f"{self.path.stem} is in use by {holder or 'another process'}",
                    hint="wait until it has ended, or give more time with --lock-timeout SECONDS",
                )
        except BaseException:
            os.close(descriptor)
            raise
        body = json.dumps(asdict(Holder(os.getpid(), verb, time.time()))).encode()
        with suppress(OSError):  # on a full disk it is held all the same, by a holder without a name
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, body)
        self._descriptor = descriptor
        Lock.held.add(self.path)
        return self

    def release(self) -> None:
        """A second call does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        Lock.held.discard(self.path)
        try:
            if self._remove:
                self.path.unlink(missing_ok=True)
            else:
                os.ftruncate(descriptor, 0)
        except OSError:
            pass  # a full or vanished disk does not keep the lock: closing frees it
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise HarnessError(
                f"cannot make the lock file {self.path}: {error.strerror or error}",
                hint=f"make {self.path.parent} writable for you",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_free(path: Path) -> bool:
    """Whether no living process holds the lock on `path`; a file that does not exist is held by nobody.

    A file that may not be opened counts as held: what cannot be known is left alone.
    """
    if path in Lock.held:
        return False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds the lock on `path`, as far as the file tells. Not for a lock of this process."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return _read_holder(descriptor)
    finally:
        os.close(descriptor)


def _read_holder(descriptor: int) -> Holder | None:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return Holder(**json.loads(os.read(descriptor, 4096)))
    except (OSError, ValueError, TypeError):
        return None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        # One byte far behind the text, so that others can still read who holds it.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True
