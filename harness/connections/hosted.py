# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A connection to a POSIX platform that a child process of this host can enter: this host itself, a sandbox."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence

assert sys.platform != "win32"

from harness.connections.channel import Channel, PipeChannel
from harness.connections.posix import PosixConnection
from harness.connections.process import ChildProcess, Launch
from harness.connections.stream import StreamProcess
from harness.errors import TransportFailed


class HostedConnection(PosixConnection):
    @abstractmethod
    def enter(self, argv: Sequence[str], *, pty: bool) -> list[str]:
        """What runs on this host so that `argv` runs on the platform, with the same descriptors 0 to 2."""

    def host_cwd(self) -> str | None:
        return None

    def host_env(self) -> Mapping[str, str] | None:
        return None

    def launch(self, text: str, description: str, *, stdin: bool, pty: bool) -> StreamProcess:
        launch = Launch(
            argv=self.enter(["sh", "-c", text if pty else f"{text}exit $?"], pty=pty),
            label=self.label,
            description=description,
            why_gone=self.why_gone,
            cwd=self.host_cwd(),
            env=self.host_env(),
        )
        try:
            if pty:
                from harness.connections.terminal import TerminalProcess

                return TerminalProcess(launch)
            return ChildProcess(launch, stdin=stdin)
        except OSError as error:
            raise self._unreachable(error) from error

    def open_channel(self) -> Channel:
        gone = self.why_gone()
        if gone:
            raise TransportFailed(f"{self.label}: {gone}")
        try:
            return PipeChannel(self.enter(["sh"], pty=False), cwd=self.host_cwd(), env=self.host_env())
        except OSError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: OSError) -> TransportFailed:
        return TransportFailed(f"{self.label}: {self.why_gone() or f'no shell could be started: {error}'}")
