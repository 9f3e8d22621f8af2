# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""This host itself: only where a scenario says `allow_changes`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from socket import socket

assert sys.platform != "win32"

from harness.connections.hosted import HostedConnection
from harness.connections.listening import here
from harness.models.endpoint import Local


class LocalConnection(HostedConnection):
    def __init__(self, endpoint: Local, label: str) -> None:
        super().__init__(label, "this host" if endpoint.directory is None else endpoint.directory)
        self._directory = endpoint.directory

    def enter(self, argv: Sequence[str], *, pty: bool) -> list[str]:
        return list(argv)

    def listen(self, port: int) -> socket:
        return here(port, self.label)

    def why_gone(self) -> str | None:
        if self._directory is None or Path(self._directory).is_dir():
            return None
        return f"its folder {self._directory} is gone"

    def host_cwd(self) -> str | None:
        return self._directory

    def host_env(self) -> Mapping[str, str] | None:
        if self._directory is None:
            return None
        # By HARNESS_INSTANCE the fake driver finds what runs in an instance.
        return {**os.environ, "HOME": self._directory, "HARNESS_INSTANCE": self._directory}
