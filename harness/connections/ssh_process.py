# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Commands behind sshd, each on a session channel of its own; and what ends them: another one."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

assert sys.platform != "win32"

from harness.connections.marked import MarkedProcess
from harness.connections.ssh_stream import SessionStream
from harness.connections.stream import READY
from harness.connections.terminal import END_OF_FILE, TerminalStream
from harness.errors import TransportFailed


class Sessions(Protocol):
    """What of a connection is needed here."""

    def session(self, text: str, *, pty: bool = False) -> SessionStream: ...

    def kill_session(self, leader: int) -> None: ...

    def signal_group(self, leader: int, number: int) -> None: ...


class SshProcess(MarkedProcess):
    """Without a PTY.

    sshd tells the status of the shell that waits for the command perhaps before its last words have come, and keeps the
    channel for as long as somebody holds its streams: so that shell closes both itself, with a mark that no command can
    know and its status.
    """

    def __init__(
        self,
        sessions: Sessions,
        text: str,
        label: str,
        description: str,
        why_gone: Callable[[], str | None],
        *,
        stdin: bool,
    ) -> None:
        super().__init__(sessions, label, description, why_gone, stdin=stdin)
        self._sessions = sessions
        self._stream = self._open(text)
        try:
            if not stdin:
                self._stream.write_eof()
            self._leader = self._handshake()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        if self._closed:
            return
        self._closed = True
        # A command whose connection broke may go on: it is ended over another one.
        alive = self._leader is not None and (not self._look() or (self._rc is None and self._stream.lost))
        # Whoever reads from it is let go first: a host that stands still answers no other session either.
        self._stream.close()
        self._ended_at = self._ended_at or time.monotonic()
        if alive and self._leader is not None:
            self._sessions.kill_session(self._leader)

    def _write_some(self, data: memoryview) -> int:
        if self._ended_at is not None:
            raise BrokenPipeError
        return self._stream.write(bytes(data))

    def _end_stdin(self) -> None:
        self._stream.write_eof()

    def _has_something(self) -> bool:
        return self._stream.has_something

    def _read(self) -> tuple[bytes, bytes, bool]:
        last = self._stream.ended  # asked first: the other thread may add to it at any time
        return (*self._stream.read(), last)

    def _open(self, text: str) -> SessionStream:
        return self._sessions.session(self._marked_text(text))

    def _handshake(self) -> int | None:
        """What the login shell's own start files say before is nobody's."""
        until = time.monotonic() + 60
        while READY not in self._out and b"harness-ready\r\n" not in self._out:
            if not self._turn(until) or time.monotonic() >= until:
                break
        at = self._out.find(READY.rstrip(b"\n"))
        if at > 0:
            del self._out[:at]
        elif at < 0 and self._stream.lost is None and self._out.strip():
            self._err += self._out  # a login shell that does not let commands run says why on stdout
            self._out.clear()
        return super()._handshake()

    def _pump(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        if self._ended_at is not None:
            return False
        self._stream.wait(until, write=write, also=also)
        self._take()
        return True

    def _status(self) -> int:
        """Raises TransportFailed where nobody could tell it any more."""
        if self._rc is None:
            self._rc = self._stream.status
        if self._rc is None:
            raise TransportFailed(
                f"{self._label}: the connection broke while {self._description} ran: {self._stream.lost}",
                hint="whether the command went on is not known; the network, sshd or the machine may have stopped",
            )
        return self._rc


class SshTerminal(SshProcess, TerminalStream):
    """With a PTY, which sshd makes."""

    def close_stdin(self) -> None:
        """What a person does: Ctrl-D."""
        if self._ended_at is None:
            with contextlib.suppress(OSError):
                self._stream.write(END_OF_FILE)

    def _open(self, text: str) -> SessionStream:
        return self._sessions.session(text, pty=True)

    def _resize(self) -> None:
        if os.isatty(0):
            size = os.get_terminal_size(0)
            self._stream.resize(size.columns, size.lines)
