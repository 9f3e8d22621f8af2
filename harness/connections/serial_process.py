# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Commands in a guest, each on a serial port of its own: the shell there becomes our relay."""

from __future__ import annotations

import contextlib
import functools
import os
import signal as signals
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Protocol

assert sys.platform != "win32"

from harness.connections.script import encode
from harness.connections.serial_line import Line
from harness.connections.stream import StreamProcess
from harness.connections.terminal import END_OF_FILE, TerminalStream
from harness.errors import TransportFailed

_FRAME = 1 << 15
"""Bytes of stdin in one frame at most."""
_LEAVE = b"q" + bytes(4)
_NO_PYTHON = b"python3 is missing in the guest: a command on a channel of its own needs it there\n"


class Signaller(Protocol):
    """What of a connection is needed here."""

    def kill_session(self, leader: int) -> None: ...

    def signal_group(self, leader: int, number: int) -> None: ...


class SerialProcess(StreamProcess):
    """Without a PTY."""

    def __init__(
        self,
        signaller: Signaller,
        line: Line,
        text: str,
        label: str,
        description: str,
        why_gone: Callable[[], str | None],
        *,
        stdin: bool,
    ) -> None:
        super().__init__(label, description, why_gone)
        self._signaller = signaller
        self._line = line
        self._writable = stdin
        self._rc: int | None = None
        self._heard = bytearray()
        self._unsent = bytearray(_script(self._mode(), text))
        try:
            self._leader = self._handshake()
        except BaseException:
            self.kill()
            raise

    def signal(self, number: int) -> None:
        if self._leader is not None and not self._look():
            self._signaller.signal_group(self._leader, number)

    def kill(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._leader is not None and not self._look():
            self._signaller.kill_session(self._leader)
            until = time.monotonic() + 1
            while self._pump(until) and time.monotonic() < until:
                pass
            self._rc = 128 + signals.SIGKILL if self._rc is None else self._rc
        self._ended_at = self._ended_at or time.monotonic()
        # Within a frame that is only half sent, it would be taken for more of it.
        self._line.close(b"" if self._unsent else _LEAVE)

    def close_stdin(self) -> None:
        if self._writable:
            self._writable = False
            self._end_stdin()

    def _end_stdin(self) -> None:
        self._send(b"c", b"")

    def _mode(self) -> str:
        return "stdin" if self._writable else "none"

    @property
    def _stdin_open(self) -> bool:
        return self._writable

    def _write_some(self, data: memoryview) -> int:
        if self._ended_at is not None:
            raise BrokenPipeError
        self._flush()
        if self._unsent:
            raise BlockingIOError
        piece = bytes(data[:_FRAME])
        self._send(b"i", piece)
        return len(piece)

    def _pump(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        if self._ended_at is not None:
            return False
        self._line.wait(until, write=write or bool(self._unsent), also=also)
        self._flush()
        self._take()
        return True

    def _has_ended(self) -> bool:
        return self._ended_at is not None

    def _status(self) -> int:
        """Raises TransportFailed where nobody could tell it any more."""
        if self._rc is None:
            raise TransportFailed(
                f"{self._label}: the connection broke while {self._description} ran: {self._line.lost}",
                hint="whether the command went on is not known; the guest may have stopped or been restarted",
            )
        return self._rc

    def _look(self) -> bool:
        """Whether it has ended, as far as it has been heard."""
        if self._ended_at is None:
            self._take()
        return self._ended_at is not None

    def _send(self, kind: bytes, data: bytes) -> None:
        self._unsent += kind + len(data).to_bytes(4, "big") + data
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(OSError):  # it is full, or its end is heard when it is read
            while self._unsent:
                del self._unsent[: self._line.write(bytes(self._unsent[: 1 << 18]))]

    def _take(self) -> None:
        self._heard += self._line.read()
        at = 0
        while len(self._heard) - at >= 5 and self._ended_at is None:
            end = at + 5 + int.from_bytes(self._heard[at + 1 : at + 5], "big")
            if end > len(self._heard):
                break
            self._obey(bytes(self._heard[at : at + 1]), self._heard[at + 5 : end])
            at = end
        del self._heard[:at]
        if self._line.ended and self._ended_at is None:
            self._ended_at = time.monotonic()

    def _obey(self, kind: bytes, data: bytearray) -> None:
        if kind == b"o":
            self._out += data
        elif kind == b"e":
            self._err += data
        elif kind == b"x":
            self._rc = int(data)
            self._ended_at = time.monotonic()


class SerialTerminal(SerialProcess, TerminalStream):
    """With a PTY, which lies in the guest."""

    def _end_stdin(self) -> None:
        """What a person does: Ctrl-D."""
        self._send(b"i", END_OF_FILE)

    def _mode(self) -> str:
        size = os.get_terminal_size(0) if os.isatty(0) else os.terminal_size((80, 24))
        return f"{size.lines},{size.columns}"

    def _resize(self) -> None:
        if os.isatty(0):
            size = os.get_terminal_size(0)
            self._send(b"w", b"%d %d" % (size.lines, size.columns))


def _script(mode: str, text: str) -> bytes:
    """What makes a shell there the relay of one command."""
    failure = "".join(
        f"\\{byte:03o}" for kind, data in ((b"e", _NO_PYTHON), (b"x", b"127")) for byte in _frame(kind, data)
    )
    return encode(
        f"if command -v python3 >/dev/null; then exec python3 -I -S -c {quote(_relay())} {mode} {quote(text)}\n"
        f"else printf '{failure}'; fi\n"
    )


def _frame(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "big") + data


@functools.cache
def _relay() -> str:
    return (Path(__file__).parent / "relay.py").read_text(encoding="utf-8")
