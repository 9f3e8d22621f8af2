# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A virtio-serial port of a guest: claimed among all processes of this host, and a fresh root shell at its other end.

Such a port has one user at a time and no notion of a session. What makes one here: a lock beside its socket, and the
greeting that each new shell in the guest says before anything else (disks/serial-shell/). Whatever came before it
belongs to an earlier session (or to one before a snapshot), and one that comes later says that our shell has gone.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence

assert sys.platform != "win32"

import fcntl

from harness.connections.patience import Patience
from harness.errors import TransportFailed, Unreachable
from harness.models.endpoint import Serial

_GREETING = re.compile(rb"\nharness-shell [0-9a-f-]{36}\n")
_GREETING_SIZE = 52
_SECONDS = 30.0
"""For a guest to greet, unless told otherwise."""
_FIRST_PATIENCE = 0.5
_QUIET = 1.0
"""Seconds of silence after a greeting within a session: then it was none of the command's own words."""
_CHUNK = 1 << 18


class Lines:
    """Those of one guest. Safe to use from several threads."""

    def __init__(self, endpoint: Serial, label: str) -> None:
        self._label = label
        self._for_signals = endpoint.sockets[:1]
        self._for_commands = endpoint.sockets[1:] or endpoint.sockets
        self.patience = Patience(_SECONDS)

    def gone(self) -> str | None:
        """Why the guest cannot be reached any more, in words; None when it seems to be there."""
        path = self._for_signals[0]
        try:
            with _claimed(path) as claimed:
                if claimed:
                    _connected(path).close()
        except OSError as error:
            return f"the guest does not run: {path}: {error.strerror or error}"
        return None

    def open(self, *, signals: bool = False) -> Line:
        """A line whose shell has just greeted. Raises Unreachable where no shell answers, else TransportFailed."""
        until = time.monotonic() + self.patience.seconds
        patience = _FIRST_PATIENCE
        asked = False
        while True:
            # At another one each time: a shell that was left a moment ago is still about to begin anew.
            for path in _shuffled(self._for_signals if signals else self._for_commands):
                line = self._claim(path)
                if line is None:
                    continue
                asked = True
                if line.greeted(min(until, time.monotonic() + patience)):
                    return line
                line.close()
                patience *= 2
                if time.monotonic() >= until:
                    break
            if time.monotonic() >= until:
                raise self._silence() if asked else self._busy()
            time.sleep(0.05)

    def _claim(self, path: str) -> Line | None:
        try:
            lock = _lock(path)
            if lock is None:
                return None
            try:
                return Line(_connected(path), lock)
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise TransportFailed(
                f"{self._label}: the guest does not run: {path}: {error.strerror or error}",
                hint="`harness list --live` tells what became of it",
            ) from error

    def _silence(self) -> Unreachable:
        return Unreachable(
            f"{self._label}: no shell in the guest has answered within {self.patience.seconds:g} s",
            hint="it may still be booting; `harness console` tells its last words",
        )

    def _busy(self) -> TransportFailed:
        return TransportFailed(
            f"{self._label}: all serial ports of the guest are in use",
            hint="each process that talks to it, and each command that it starts, holds one",
        )


class Line:
    """One port, ours alone until `close`."""

    def __init__(self, connected: socket.socket, lock: int) -> None:
        self._socket = connected
        self._lock = lock
        self._tail = b""
        self._heard = time.monotonic()
        self.lost: str | None = None
        """Why nothing more will come."""

    @property
    def ended(self) -> bool:
        return self.lost is not None

    def greeted(self, until: float) -> bool:
        """Wait for a new shell's greeting, and for nothing more."""
        while not _GREETING.search(self._tail):
            if self.ended or not self.wait(until):
                return False
            self.read()
        self._tail = b""
        return True

    def read(self) -> bytes:
        """What has come, perhaps nothing."""
        if self.ended:
            return b""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            self.lost = error.strerror or str(error)
            return b""
        if not data:
            self.lost = "the guest has stopped"
        else:
            self._tail = (self._tail + data)[-2 * _GREETING_SIZE :]
            self._heard = time.monotonic()
        return data

    def write(self, data: bytes | memoryview) -> int:
        """How much was taken. Raises BlockingIOError, OSError."""
        return self._socket.send(data)

    def wait(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        """Until something can be read (or written, or read from `also`), or nothing more will come; False when
        `until` passed."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | (select.POLLOUT if write else 0))
        if also is not None:
            poller.register(also, select.POLLIN)
        while not self.ended:
            left = None if until is None else max(0.0, until - time.monotonic())
            quiet = None
            if self.replaced:
                quiet = max(0.0, self._heard + _QUIET - time.monotonic())
            pause = min((seconds for seconds in (left, quiet) if seconds is not None), default=None)
            if poller.poll(None if pause is None else pause * 1000):
                return True
            if quiet is not None and (left is None or quiet <= left):
                self.lost = "its shell was replaced by a new one: the guest was restarted, or the shell killed"
            elif left is not None:
                return False
        return True

    @property
    def replaced(self) -> bool:
        """Whether the last words were a new shell's greeting; within a command's output that may be by chance."""
        return bool(_GREETING.fullmatch(self._tail[-_GREETING_SIZE:]))

    def close(self, farewell: bytes = b"") -> None:
        """`farewell` tells the other end to leave: that somebody has gone it may not notice, when another one comes at
        once."""
        with contextlib.suppress(OSError):
            self._socket.send(farewell)
        with contextlib.suppress(OSError):
            # QEMU reads it all before it looks up; what is closed at once it drops.
            self._socket.shutdown(socket.SHUT_WR)
        until = time.monotonic() + 0.25
        while not self.ended and self.wait(until):
            self.read()
        self._socket.close()
        os.close(self._lock)


def _shuffled(paths: Sequence[str]) -> list[str]:
    return random.sample(paths, len(paths))


def _connected(path: str) -> socket.socket:
    """Raises OSError."""
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.connect(path)
        connected.setblocking(False)
    except BaseException:
        connected.close()
        raise
    return connected


def _lock(path: str) -> int | None:
    """The lock of a socket, unless somebody else has it. Raises OSError."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _claimed(path: str) -> Iterator[bool]:
    lock = _lock(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)
