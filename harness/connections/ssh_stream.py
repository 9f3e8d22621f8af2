"""One session channel of an SSH connection: the event loop fills it, the thread of whoever waits empties it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import Any

from harness.connections.ssh_library import asyncssh
from harness.connections.ssh_loop import LoopThread

_HELD = 2 << 20
"""Bytes that wait for their reader before the host is told to wait."""
_QUEUED = 4 << 20
"""Bytes on their way to the host before the writer waits."""

_WINDOW = 512 << 10
"""Bytes that the host may not have handed to the command yet. sshd offers 2 MiB, and moves all that it holds for a slow
reader each time more comes: 5 MB took it 80 ms instead of 30. Half a mebibyte still is 5 MB/s at 100 ms."""

_SIGNALS = {"ABRT": 6, "ALRM": 14, "FPE": 8, "HUP": 1, "ILL": 4, "INT": 2, "KILL": 9, "PIPE": 13, "QUIT": 3}
_SIGNALS |= {"SEGV": 11, "TERM": 15, "USR1": 10, "USR2": 12}
"""RFC 4254, section 6.10, and the numbers that Linux has for them."""


class SessionStream(asyncssh.SSHClientSession[bytes]):
    """`wakes` gives it a descriptor that can be waited for together with others (a keyboard)."""

    def __init__(self, loop: LoopThread, *, wakes: bool = False) -> None:
        self._loop = loop
        self._changed = threading.Condition()
        self._out, self._err = bytearray(), bytearray()
        self._reading = True
        self._queued, self._paused = 0, False
        self._channel: Any = None
        self._waker = os.pipe() if wakes else None
        self.ended = False
        """Nothing more will come."""
        self.status: int | None = None
        """128 + N where signal N ended it; None when it has not been told."""
        self.lost: str | None = None
        """Why the connection broke, if that ended it."""

    # What asyncssh calls, in the loop's thread.

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan
        chan.set_write_buffer_limits(_QUEUED)

    def session_started(self) -> None:
        # asyncssh has no public name for it. Without it all is only slower; test_ssh.py sees that it still is there.
        if hasattr(self._channel, "_send_window"):
            self._channel._send_window = min(self._channel._send_window, _WINDOW)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        with self._changed:
            (self._err if datatype == asyncssh.EXTENDED_DATA_STDERR else self._out).extend(data)
            if self._reading and len(self._out) + len(self._err) > _HELD:
                self._reading = False
                self._channel.pause_reading()
            self._tell()

    def eof_received(self) -> bool:
        return True  # the exit status is still to come

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def exit_signal_received(self, signal_name: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.status = 128 + _SIGNALS.get(signal_name, 9)

    def connection_lost(self, exc: Exception | None) -> None:
        with self._changed:
            self.ended = True
            if exc is not None or self.status is None:
                self.lost = str(exc) if exc is not None and str(exc) else "the host closed it"
            self._tell()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        with self._changed:
            self._paused = False
            self._tell()

    # What threads call.

    def read(self) -> tuple[bytes, bytes]:
        """What has come on stdout and stderr, perhaps nothing."""
        with self._changed:
            got = bytes(self._out), bytes(self._err)
            self._out.clear()
            self._err.clear()
            if not self._reading and not self.ended:
                self._reading = True
                self._loop.soon(self._channel.resume_reading)
        return got

    @property
    def has_something(self) -> bool:
        return bool(self._out or self._err or self.ended)

    @property
    def writable(self) -> bool:
        return self.ended or (self._queued < _QUEUED and not self._paused)

    def write(self, data: bytes) -> int:
        """How much was taken. Raises BlockingIOError, BrokenPipeError."""
        with self._changed:
            if self.ended:
                raise BrokenPipeError
            if not self.writable:
                raise BlockingIOError
            self._queued += len(data)
        self._loop.soon(lambda: self._send(data))
        return len(data)

    def write_eof(self) -> None:
        self._loop.soon(lambda: self._quietly(self._channel.write_eof))

    def resize(self, width: int, height: int) -> None:
        self._loop.soon(lambda: self._quietly(lambda: self._channel.change_terminal_size(width, height)))

    def close(self) -> None:
        """No data is waited for any more."""
        if self._channel is not None:
            self._loop.soon(lambda: self._quietly(self._channel.abort))
        with self._changed:
            # A host that stands still confirms nothing: whoever waits here is let go.
            if not self.ended:
                self.ended, self.lost = True, "it was closed from here"
            self._changed.notify_all()
            waker, self._waker = self._waker, None
        for descriptor in waker or ():
            os.close(descriptor)

    def wait(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        """Until there is something to read (or room to write, or something in `also`); False when `until` passed."""
        if also is not None and self._waker is not None:
            return self._wait_for_both(until, self._waker[0], also)
        with self._changed:
            while not (self.has_something or (write and self.writable)):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _wait_for_both(self, until: float | None, waker: int, also: int) -> bool:
        while not self.has_something:
            left = None if until is None else max(0.0, until - time.monotonic())
            ready, _, _ = select.select([waker, also], [], [], left)
            if waker in ready:
                os.read(waker, 4096)
            if also in ready:
                return True
            if not ready:
                return False
        return True

    def _send(self, data: bytes) -> None:
        self._quietly(lambda: self._channel.write(data))
        with self._changed:
            self._queued -= len(data)
            self._tell()

    def _tell(self) -> None:
        self._changed.notify_all()
        if self._waker is not None:
            os.write(self._waker[1], b".")

    @staticmethod
    def _quietly(action: Any) -> None:
        """A channel that has been closed meanwhile says so by `connection_lost`."""
        with contextlib.suppress(OSError, asyncssh.Error):
            action()
