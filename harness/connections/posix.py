# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A connection to a POSIX platform: what is the same whatever its channels are."""

from __future__ import annotations

import sys
import threading
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

assert sys.platform != "win32"

from harness.connections import transfer
from harness.connections.base import Command, Completed, Connection, Process
from harness.connections.channel import Channel
from harness.connections.probe import probe
from harness.connections.script import Invocation, encode, in_shell
from harness.connections.shell import REOPENS, NoFolder, PersistentShell
from harness.connections.stream import ANNOUNCE, READY, StreamProcess
from harness.connections.traffic import Traffic
from harness.errors import CommandTimedOut, TransportFailed
from harness.models.facts import Facts

INLINE_STDIN = 4096
"""Bytes of stdin that travel within the command's text; more goes through a channel of its own."""


class PosixConnection(Connection):
    """`label` begins every message (`node1: ...`)."""

    def __init__(self, label: str, detail: str) -> None:
        self.label = label
        self.name = f"{label} ({detail})"
        self.traffic: Traffic = Traffic()
        self._shell = PersistentShell(label, self.open_channel, self.traffic)
        self._has_folder = True
        self._lock = threading.Lock()
        self._processes: list[StreamProcess] = []
        self._closed = False
        self._facts: Facts | None = None
        self._probing = threading.Lock()

    def reaching(self, timeout: float | None) -> AbstractContextManager[None]:
        """Around a command that has `timeout`: where a way to the platform may have to be waited for, that long."""
        return nullcontext()

    @abstractmethod
    def why_gone(self) -> str | None:
        """Why the platform cannot be reached any more, in words; None when it seems to be there."""

    @abstractmethod
    def open_channel(self) -> Channel:
        """To a new `sh` there. Raises TransportFailed."""

    @abstractmethod
    def launch(self, text: str, description: str, *, stdin: bool, pty: bool) -> StreamProcess:
        """A `sh -c` there that does `text` on a channel of its own and, without `pty`, ends with the status `$?` of
        its last command; with it, `text` ends in `exec`. Raises TransportFailed."""

    def run(
        self,
        command: Command,
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        user: str | None = None,
    ) -> Completed:
        self._check_open()
        invocation = Invocation(command, env or {}, cwd, user)
        reopens = REOPENS.search(command if isinstance(command, str) else " ".join(command))
        with self.reaching(timeout):
            if len(stdin) <= INLINE_STDIN and not reopens and self._has_folder:
                try:
                    return self._shell.run(invocation, stdin=stdin, timeout=timeout)
                except NoFolder:
                    self._has_folder = False
            return self._run_alone(invocation, stdin, timeout)

    def start(
        self,
        command: Command,
        *,
        stdin: bool = False,
        pty: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
    ) -> Process:
        return self._start(Invocation(command, env or {}, cwd, user), stdin=stdin, pty=pty)

    def push(self, source: bytes | Path, destination: str, *, mode: int | None = None) -> None:
        transfer.push(self, source, destination, mode)

    def pull(self, source: str, destination: Path) -> None:
        transfer.pull(self, source, destination)

    def read(self, source: str) -> bytes:
        return transfer.read(self, source)

    def facts(self) -> Facts:
        # No cached_property: until Python 3.12 one lock serves all instances, and the hosts wait for one another.
        with self._probing:
            self._facts = self._facts or probe(self)
            return self._facts

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._lock:
            processes, self._processes = self._processes, []
        for process in processes:
            process.kill()
        self._shell.close()

    def channel(self, command: Command, *, stdin: bool = False) -> StreamProcess:
        """A process without a PTY, for streams of files."""
        return self._start(Invocation(command), stdin=stdin, pty=False)

    def _start(self, invocation: Invocation, *, stdin: bool, pty: bool) -> StreamProcess:
        self._check_open()
        if pty:
            # No session of its own: it belongs to the one that has the terminal.
            text = f"echo {READY.decode().strip()}\n" + in_shell(invocation, announce=ANNOUNCE)
        else:
            # A child of the first shell leads no process group, so that setsid need not fork and the pid stays true.
            inner = in_shell(invocation, session="$(command -v setsid)", announce=ANNOUNCE)
            text = f"echo {READY.decode().strip()}\n(\n{inner}\n)\n"
        self.traffic.sent(len(encode(text)))
        process = self.launch(text, str(invocation), stdin=stdin, pty=pty)
        process.counted_in(self.traffic)
        with self._lock:
            self._processes = [other for other in self._processes if not other.closed]
            self._processes.append(process)
        return process

    def _run_alone(self, invocation: Invocation, stdin: bytes, timeout: float | None) -> Completed:
        with self._start(invocation, stdin=bool(stdin), pty=False) as process:
            try:
                return process.communicate(stdin, timeout)
            except CommandTimedOut as error:
                raise CommandTimedOut(
                    f"{error.message} and was killed", stdout=error.stdout, stderr=error.stderr
                ) from error

    def _check_open(self) -> None:
        if self._closed:
            raise TransportFailed(f"{self.label}: the connection has been closed")
