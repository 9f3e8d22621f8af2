# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A connection to a POSIX platform that a child process of this host can enter: this host itself, a sandbox."""

from __future__ import annotations

import functools
import sys
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

assert sys.platform != "win32"

from harness.connections import transfer
from harness.connections.base import Command, Completed, Connection, Process
from harness.connections.channel import Channel, PipeChannel
from harness.connections.probe import probe
from harness.connections.process import ANNOUNCE, READY, ChildProcess, Launch
from harness.connections.script import Invocation, encode, in_shell
from harness.connections.shell import REOPENS, NoFolder, PersistentShell
from harness.errors import CommandTimedOut, TransportFailed
from harness.models.facts import Facts

INLINE_STDIN = 4096
"""Bytes of stdin that travel within the command's text; more goes through a channel of its own."""


class PosixConnection(Connection):
    """`label` begins every message (`node1: ...`)."""

    def __init__(self, label: str, detail: str) -> None:
        self.label = label
        self.name = f"{label} ({detail})"
        self._shell = PersistentShell(label, self._open_channel)
        self._has_folder = True
        self._lock = threading.Lock()
        self._processes: list[ChildProcess] = []
        self._closed = False

    @abstractmethod
    def enter(self, argv: Sequence[str], *, pty: bool) -> list[str]:
        """What runs on this host so that `argv` runs on the platform, with the same descriptors 0 to 2."""

    @abstractmethod
    def why_gone(self) -> str | None:
        """Why the platform cannot be reached any more, in words; None when it seems to be there."""

    def host_cwd(self) -> str | None:
        return None

    def host_env(self) -> Mapping[str, str] | None:
        return None

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
        return self._facts

    @functools.cached_property
    def _facts(self) -> Facts:
        return probe(self)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._lock:
            processes, self._processes = self._processes, []
        for process in processes:
            process.kill()
        self._shell.close()

    def channel(self, command: Command, *, stdin: bool = False) -> ChildProcess:
        """A process without a PTY, for streams of files."""
        return self._start(Invocation(command), stdin=stdin, pty=False)

    def _start(self, invocation: Invocation, *, stdin: bool, pty: bool) -> ChildProcess:
        self._check_open()
        if pty:
            # No session of its own: it belongs to the one that has the terminal.
            text = f"echo {READY.decode().strip()}\n" + in_shell(invocation, announce=ANNOUNCE)
        else:
            # A child of the first shell leads no process group, so that setsid need not fork and the pid stays true.
            inner = in_shell(invocation, session="$(command -v setsid)", announce=ANNOUNCE)
            text = f"echo {READY.decode().strip()}\n(\n{inner}\n)\nexit $?"
        encode(text)
        launch = Launch(
            argv=self.enter(["sh", "-c", text], pty=pty),
            label=self.label,
            description=str(invocation),
            why_gone=self.why_gone,
            cwd=self.host_cwd(),
            env=self.host_env(),
        )
        process: ChildProcess
        try:
            if pty:
                from harness.connections.terminal import TerminalProcess

                process = TerminalProcess(launch)
            else:
                process = ChildProcess(launch, stdin=stdin)
        except OSError as error:
            raise self._unreachable(error) from error
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

    def _open_channel(self) -> Channel:
        gone = self.why_gone()
        if gone:
            raise TransportFailed(f"{self.label}: {gone}")
        try:
            return PipeChannel(self.enter(["sh"], pty=False), cwd=self.host_cwd(), env=self.host_env())
        except OSError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: OSError) -> TransportFailed:
        return TransportFailed(f"{self.label}: {self.why_gone() or f'no shell could be started: {error}'}")

    def _check_open(self) -> None:
        if self._closed:
            raise TransportFailed(f"{self.label}: the connection has been closed")
