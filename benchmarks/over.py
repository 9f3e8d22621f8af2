"""testinfra over a connection that is open already, and the one question that is asked."""

from __future__ import annotations

from collections.abc import Callable

from testinfra.backend.base import BaseBackend
from testinfra.host import Host

from harness.connections.base import Connection
from harness.verify.backend import HarnessBackend


class _Over(HarnessBackend):
    def __init__(self, connection: Connection) -> None:
        self.user, self._timeout, self._connection = None, None, connection
        BaseBackend.__init__(self, "node1")

    @property
    def connection(self) -> Connection:
        return self._connection


def host_over(connection: Connection) -> Host:
    return Host(_Over(connection))


def asking(host: Host, times: int) -> Callable[[], None]:
    """A call that asks for a file's mode `times` times."""

    def ask() -> None:
        for _ in range(times):
            assert host.file("/etc/passwd").mode == 0o644

    return ask
