"""One look at each host for all of its checks: at several hosts side by side, before the first check is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from harness.connections.base import Connection
from harness.verify.checks import Check
from harness.verify.probe import look
from harness.verify.seen import Seen, Wanted

_SIDE_BY_SIDE = 8


class Looks:
    """`connect` opens the connection to a host by its name."""

    def __init__(self, checks: Iterable[Check], connect: Callable[[str], Connection]) -> None:
        self._wanted: dict[str, Wanted] = {}
        self._looks: dict[str, Future[Seen]] = {}
        self._connect = connect
        for check in checks:
            check.question.wants(self._wanted.setdefault(check.host, Wanted()))

    def begin(self, hosts: Iterable[str]) -> None:
        """Start to look at these hosts; `of` waits for the answers."""
        waiting = [host for host in dict.fromkeys(hosts) if host not in self._looks]
        if waiting:
            with_threads = ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(waiting)), thread_name_prefix="look")
            self._looks.update({host: with_threads.submit(self._look, host) for host in waiting})
            with_threads.shutdown(wait=False)

    def of(self, host: str) -> Seen:
        """What was seen there. A host that could not be looked at raises the same error for each of its checks."""
        self.begin([host])
        return self._looks[host].result()

    def _look(self, host: str) -> Seen:
        return look(self._connect(host), self._wanted.get(host, Wanted()))
