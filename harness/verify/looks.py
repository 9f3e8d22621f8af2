"""One look at each host for all of its checks, at the moment the first of them is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.connections.base import Connection
from harness.verify.checks import Check
from harness.verify.probe import look
from harness.verify.seen import Seen, Wanted


class Looks:
    """`connect` opens the connection to a host by its name."""

    def __init__(self, checks: Iterable[Check], connect: Callable[[str], Connection]) -> None:
        self._wanted: dict[str, Wanted] = {}
        self._seen: dict[str, Seen | Exception] = {}
        self._connect = connect
        for check in checks:
            check.question.wants(self._wanted.setdefault(check.host, Wanted()))

    def of(self, host: str) -> Seen:
        """What was seen there. A host that could not be looked at raises the same error for each of its checks."""
        if host not in self._seen:
            try:
                self._seen[host] = look(self._connect(host), self._wanted.get(host, Wanted()))
            except Exception as error:
                self._seen[host] = error
        seen = self._seen[host]
        if isinstance(seen, Exception):
            raise seen
        return seen
