# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A guest, over its virtio-serial ports: no network and no handshake, so one that is restored answers at once."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from shlex import quote
from socket import socket

assert sys.platform != "win32"

from harness.connections.carrying import carried
from harness.connections.channel import Channel, ChannelClosed
from harness.connections.ending import KILL_BELOW, KILL_SESSION, SIGNAL_GROUP
from harness.connections.posix import PosixConnection
from harness.connections.script import encode
from harness.connections.serial_line import Line, Lines
from harness.connections.serial_process import SerialProcess, SerialTerminal
from harness.connections.stream import StreamProcess
from harness.errors import TransportFailed
from harness.models.endpoint import Serial

_ENDING_SECONDS = 10.0
_EXIT = b"\nexit\n"


class SerialConnection(PosixConnection):
    """It outlives a restart of its guest, and a return to an earlier state: the next command gets a new shell."""

    def __init__(self, endpoint: Serial, label: str) -> None:
        super().__init__(label, f"serial {Path(endpoint.sockets[0]).parent}")
        self._lines = Lines(endpoint, label)
        self._exports = "".join(f"export {name}={quote(value)}\n" for name, value in endpoint.environment.items())

    def why_gone(self) -> str | None:
        return self._lines.gone()

    def reaching(self, timeout: float | None) -> AbstractContextManager[None]:
        return self._lines.patience.within(timeout)

    def open_channel(self) -> Channel:
        return SerialChannel(self, self._lines.open(), encode(self._exports))

    def launch(self, text: str, description: str, *, stdin: bool, pty: bool) -> StreamProcess:
        kind = SerialTerminal if pty else SerialProcess
        line = self._lines.open()
        return kind(self, line, self._exports + text, self.label, description, self.why_gone, stdin=stdin or pty)

    def listen(self, port: int) -> AbstractContextManager[socket]:
        return carried(self, port)

    def kill_below(self, pid: int) -> None:
        self._quietly(KILL_BELOW, pid)

    def kill_session(self, leader: int) -> None:
        self._quietly(KILL_SESSION, leader)

    def signal_group(self, leader: int, number: int) -> None:
        self._quietly(SIGNAL_GROUP, leader, number)

    def _quietly(self, script: str, *arguments: int) -> None:
        """To its end, on the line that is kept for this. Nothing where the guest does not answer any more."""
        words = " ".join(map(str, arguments))
        token = secrets.token_hex(16).encode()
        try:
            with self._lines.patience.within(_ENDING_SECONDS / 4):
                channel = SerialChannel(self, self._lines.open(signals=True), b"")
        except TransportFailed:
            return
        heard = b""
        until = time.monotonic() + _ENDING_SECONDS
        try:
            channel.send(
                encode(f"sh -c {quote(script)} sh {words} </dev/null >/dev/null 2>&1\nprintf ") + token + b"\n", until
            )
            while token not in heard:
                heard += channel.receive(until)
        except (TimeoutError, ChannelClosed):
            pass
        finally:
            channel.close(patience=0)


class SerialChannel(Channel):
    """To a shell there. `prologue` is said to it first."""

    def __init__(self, connection: SerialConnection, line: Line, prologue: bytes) -> None:
        self._connection = connection
        self._line = line
        self._unsaid = prologue
        self._got = b""

    def send(self, data: bytes, until: float | None) -> None:
        left = memoryview(self._unsaid + data)
        self._unsaid = b""
        while left:
            try:
                left = left[self._line.write(left) :]
            except BlockingIOError:
                if not self._line.wait(until, write=True):
                    raise TimeoutError from None
                self._got += self._line.read()
            except OSError as error:
                raise ChannelClosed(self._line.lost or error.strerror or "") from error

    def receive(self, until: float | None) -> bytes:
        while not self._got:
            if not self._line.wait(until):
                raise TimeoutError
            self._got = self._line.read()
            if not self._got and self._line.ended:
                raise ChannelClosed(self._line.lost)
        data, self._got = self._got, b""
        return data

    def kill_children(self, pid: int) -> None:
        if not self._line.ended:
            self._connection.kill_below(pid)

    def ended(self) -> bool:
        self._got += self._line.read()
        return self._line.ended or self._line.replaced

    def close(self, *, patience: float) -> None:
        """`exit` ends a shell as soon as it reads it."""
        self._line.close(_EXIT)
