"""Connections run commands and move files; they know nothing of lifecycles."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from harness.errors import Unsupported
from harness.models.endpoint import Docker, Endpoint, Local, Sandbox, Serial, Ssh

if TYPE_CHECKING:
    from harness.connections.base import Connection


def open_connection(endpoint: Endpoint, *, name: str) -> Connection:
    """Costs nothing until the first command. `name` (a platform's) begins every message.

    Raises Unsupported where this machine lacks what the endpoint needs.
    """
    if sys.platform != "win32":
        if isinstance(endpoint, Local):
            from harness.connections.local import LocalConnection

            return LocalConnection(endpoint, name)
        if isinstance(endpoint, Docker):
            from harness.connections.docker import DockerConnection

            return DockerConnection(endpoint, name)
        if isinstance(endpoint, Sandbox):
            from harness.connections.sandbox import SandboxConnection

            return SandboxConnection(endpoint, name)
        if isinstance(endpoint, Serial):
            from harness.connections.serial import SerialConnection

            return SerialConnection(endpoint, name)
        if isinstance(endpoint, Ssh):
            try:
                from harness.connections.ssh import SshConnection
            except ImportError as error:
                if error.name != "asyncssh":
                    raise
                hint = "pip install 'harness-e2e[ssh]' (asyncssh is missing)"
                raise Unsupported("ssh", by="this machine", hint=hint) from error
            return SshConnection(endpoint, name)
    raise Unsupported(f"the endpoint {endpoint.kind!r}", by="this machine")
