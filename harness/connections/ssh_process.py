# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Commands behind sshd, each on a session channel of its own; and what ends them: another one."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable
from typing import Protocol

assert sys.platform != "win32"

from harness.connections.ending import Marked, marked_text
from harness.connections.ssh_stream import SessionStream
from harness.connections.stream import READY, StreamProcess
from harness.connections.terminal import END_OF_FILE, TerminalStream
from harness.errors import TransportFailed


class Sessions(Protocol):
    """What of a connection is needed here."""

    def session(self, text: str, *, pty: bool = False) -> SessionStream: ...

    def kill_session(self, leader: int) -> None: ...

    def signal_group(self, leader: int, number: int) -> None: ...


class SshProcess(StreamProcess):
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
        super().__init__(label, description, why_gone)
        self._sessions = sessions
        self._rc: int | None = None
        self._writable = stdin
        mark = secrets.token_hex(16)
        self._marked = Marked(mark.encode()), Marked(mark.encode())
        self._stream = self._open(text, mark)
        try:
            if not stdin:
                self._stream.write_eof()
            self._leader = self._handshake()
        except BaseException:
            self.kill()
            raise

    def close_stdin(self) -> None:
        if self._writable:
            self._writable = False
            self._stream.write_eof()

    def signal(self, number: int) -> None:
        if self._leader is not None and not self._look():
            self._sessions.signal_group(self._leader, number)

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

    @property
    def _stdin_open(self) -> bool:
        return self._writable

    def _write_some(self, data: memoryview) -> int:
        if self._ended_at is not None:
            raise BrokenPipeError
        return self._stream.write(bytes(data))

    def _has_ended(self) -> bool:
        return self._ended_at is not None

    def _open(self, text: str, mark: str) -> SessionStream:
        return self._sessions.session(marked_text(text, mark))

    def _handshake(self) -> int | None:
        """What the login shell's own start files say before is nobody's."""
        until = time.monotonic() + 60
        while READY not in self._out and b"harness-ready\r\n" not in self._out:
            if not self._pump(until) or time.monotonic() >= until:
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

    def _take(self) -> None:
        last = self._stream.ended
        out, err = self._stream.read()
        self._out += self._marked[0].feed(out, last=last)
        self._err += self._marked[1].feed(err, last=last)
        self._rc = self._marked[0].status
        if last or (self._rc is not None and self._marked[1].status is not None):
            self._ended_at = time.monotonic()

    def _look(self) -> bool:
        """Whether it has ended, as far as it has been heard."""
        if self._ended_at is None and self._stream.has_something:
            self._take()
        return self._ended_at is not None

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

    def _open(self, text: str, mark: str) -> SessionStream:
        return self._sessions.session(text, pty=True)

    def _resize(self) -> None:
        if os.isatty(0):
            size = os.get_terminal_size(0)
            self._stream.resize(size.columns, size.lines)
