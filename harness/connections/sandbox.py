# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A native sandbox: everything there is started by a small program that joins its name spaces."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from socket import socket

assert sys.platform != "win32"

from harness.connections.hosted import HostedConnection
from harness.connections.listening import in_network_of
from harness.models.endpoint import Sandbox
from harness.sandbox.command import enter_command


class SandboxConnection(HostedConnection):
    def __init__(self, endpoint: Sandbox, label: str) -> None:
        super().__init__(label, f"sandbox {endpoint.pid}")
        self._endpoint = endpoint

    def enter(self, argv: Sequence[str], *, pty: bool) -> list[str]:
        return enter_command(self._endpoint, argv, pty=pty)

    def listen(self, port: int) -> socket:
        wanted = self._endpoint
        return in_network_of(wanted.pid, wanted.start_time, port, self.label, rootless=wanted.rootless)

    def why_gone(self) -> str | None:
        wanted = self._endpoint
        try:
            stat = Path(f"/proc/{wanted.pid}/stat").read_bytes()
        except OSError:
            stat = b""
        state, *fields = stat.rpartition(b")")[2].split() or [b"Z"]
        # proc(5): the state is field 3 of stat, the start time field 22.
        if state not in (b"Z", b"X") and int(fields[18]) == wanted.start_time:
            return None
        return f"the sandbox is gone: its process {wanted.pid} (start time {wanted.start_time}) has ended"
