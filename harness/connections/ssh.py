# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A machine behind sshd: everything rides on one connection, and nothing is needed there but a POSIX `sh`."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shlex import quote
from socket import socket

assert sys.platform != "win32"

from harness.connections.channel import Channel, ChannelClosed
from harness.connections.ending import KILL_BELOW, KILL_SESSION, SIGNAL_GROUP
from harness.connections.listening import on_file, taken
from harness.connections.posix import PosixConnection
from harness.connections.script import encode
from harness.connections.ssh_link import Link
from harness.connections.ssh_process import SshProcess, SshTerminal
from harness.connections.ssh_stream import SessionStream
from harness.connections.ssh_words import place
from harness.connections.stream import StreamProcess
from harness.errors import HarnessError, TransportFailed
from harness.models.endpoint import Ssh

_LAST_WORDS = 2000
_ENDING_SECONDS = 10.0
_PLAIN = re.compile(rb"[^A-Za-z0-9 _./:=,@+#()*?\[\]{}<>|&;~^-]")
"""Not plain: what some login shell takes for its own within single quotes (csh: `!` and newlines; fish: a backslash),
and what `printf` and double quotes do."""


class SshConnection(PosixConnection):
    """It outlives a restart of its machine: the next command connects anew."""

    def __init__(self, endpoint: Ssh, label: str) -> None:
        super().__init__(label, f"ssh {place(endpoint)}")
        self._link = Link(endpoint, label)
        self.kept = {}

    def reach(self, timeout: float | None = None) -> None:
        if self._link.is_open:
            super().reach(timeout)
        with self.reaching(timeout):
            self._link.connection()

    def why_gone(self) -> str | None:
        return self._link.gone()

    def reaching(self, timeout: float | None) -> AbstractContextManager[None]:
        return self._link.patience.within(timeout)

    def open_channel(self) -> Channel:
        return SessionChannel(self, self.session("exec sh"))

    def launch(self, text: str, description: str, *, stdin: bool, pty: bool) -> StreamProcess:
        kind = SshTerminal if pty else SshProcess
        return kind(self, text, self.label, description, self.why_gone, stdin=stdin or pty)

    @contextlib.contextmanager
    def listen(self, port: int) -> Iterator[socket]:
        with on_file() as (listening, path), self._link.forward(port, path) as opened:
            if not opened:
                raise self._no_forward(port)
            yield listening

    def _no_forward(self, port: int) -> TransportFailed:
        """sshd does not say why."""
        heard = f"grep -qs ' [0-9A-F]*:{port:04X} [0-9A-F]*:0000 0A' /proc/net/tcp /proc/net/tcp6"
        if self.run(heard, timeout=_ENDING_SECONDS).ok:
            return taken(self.label, port)
        return TransportFailed(
            f"{self.label}: sshd forwards no port to this machine",
            hint="AllowTcpForwarding in its sshd_config must be yes or remote",
        )

    def tidy(self) -> None:
        folders = sorted((self.kept or {}).values())
        self.kept = {}
        if folders and self._link.gone() is None:
            with contextlib.suppress(HarnessError):
                self.run(["rm", "-rf", "--", *folders], timeout=_ENDING_SECONDS)

    def close(self) -> None:
        if not self._closed:
            self.tidy()
        super().close()
        self._link.close()

    def session(self, text: str, *, pty: bool = False) -> SessionStream:
        """A `sh` there that does `text`, whatever the user's login shell. Raises TransportFailed."""
        exports = "".join(f"export {name}={quote(value)}\n" for name, value in self._link.endpoint.environment.items())
        size = os.get_terminal_size(0) if pty and os.isatty(0) else None
        return self._link.session(
            for_login_shell(exports + text), pty=pty, size=(size.columns, size.lines) if size else None
        )

    def kill_below(self, pid: int) -> None:
        self._quietly(KILL_BELOW, pid, otherwise='pkill -9 -P "$1"')

    def kill_session(self, leader: int) -> None:
        self._quietly(KILL_SESSION, leader, otherwise='kill -9 "-$1" "$1"')

    def signal_group(self, leader: int, number: int) -> None:
        self._quietly(SIGNAL_GROUP, leader, number, otherwise='kill -"$2" "-$1"')

    def _quietly(self, script: str, *arguments: int, otherwise: str) -> None:
        """To its end. Nothing where the host cannot be reached any more.

        `otherwise` is for a system without /proc.
        """
        words = " ".join(map(str, arguments))
        text = f"set -- {words}\nif [ ! -r /proc/self/stat ]; then {otherwise} 2>/dev/null; exit; fi\n{script}"
        try:
            with self._link.patience.within(_ENDING_SECONDS / 4):
                stream = self.session(text)
        except TransportFailed:
            return
        try:
            until = time.monotonic() + _ENDING_SECONDS
            while not stream.ended and stream.wait(until):
                stream.read()
        finally:
            stream.close()


def for_login_shell(text: str) -> str:
    """A command by which sh, bash, zsh, fish, csh and tcsh alike have a POSIX `sh` do `text`."""
    encoded = _PLAIN.sub(lambda match: b"\\%03o" % match[0][0], encode(text)).decode()
    return f'sh -c \'eval "$(printf "{encoded}")"\''


class SessionChannel(Channel):
    """To a shell there."""

    def __init__(self, connection: SshConnection, stream: SessionStream) -> None:
        self._connection = connection
        self._stream = stream
        self._said = bytearray()
        self._sends = 0

    def send(self, data: bytes, until: float | None) -> None:
        left = data
        self._sends += 1
        while left:
            try:
                left = left[self._stream.write(left) :]
            except BlockingIOError:
                if not self._stream.wait(until, write=True):
                    raise TimeoutError from None
            except BrokenPipeError as error:
                raise ChannelClosed(self._last_words()) from error

    def receive(self, until: float | None) -> bytes:
        while True:
            if not self._stream.wait(until):
                raise TimeoutError
            ended = self._stream.ended
            out, err = self._stream.read()
            # What is no shell may say on stdout that it is none.
            self._said = (self._said + err + (out if self._sends == 1 else b""))[-_LAST_WORDS:]
            if out:
                return out
            if ended:
                raise ChannelClosed(self._last_words())

    def kill_children(self, pid: int) -> None:
        if not self._stream.ended:
            self._connection.kill_below(pid)

    def root(self, pid: int) -> Path | None:
        return None

    def ended(self) -> bool:
        return self._stream.ended

    def close(self, *, patience: float) -> None:
        """The end of its stdin ends a shell."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.write_eof()
        until = time.monotonic() + patience
        while not self._stream.ended and self._stream.wait(until):
            self._stream.read()
        self._stream.close()

    def _last_words(self) -> str:
        return bytes(self._said).decode(errors="replace").strip() or self._connection.why_gone() or ""
