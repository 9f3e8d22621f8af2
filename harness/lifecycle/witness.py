"""What is seen of a run from outside: the machine before and after it, and every record as it comes."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.connections.base import Connection
from harness.deadline import Deadline, poll
from harness.deploy.means import RunArguments
from harness.deploy.records import Ending
from harness.errors import HarnessError
from harness.lifecycle.binaries import Binaries
from harness.lifecycle.context import Context
from harness.machine import Look, Machine, capture
from harness.models.results import CheckResult, HostExecutionResult
from harness.models.runner import Payload, TaskRecord
from harness.verify.conduct.catalogue import SECOND_RUN

if TYPE_CHECKING:
    from harness.verify.conduct.evidence import Evidence, Tree

_PATIENCE = 20.0
"""Seconds for one look."""
_AGAIN = frozenset(["tree"])
"""Of a second run; the step idempotence looks at what the plan names by itself."""
_NEEDS_MACHINE = frozenset(["tree", "traces", "contents", "strangers", "network", "times", "secrets", "conditions"])
_EXEC_SECONDS = 2.0
"""For a process that has just been forked to become its program."""
_LONG_PATIENCE = 300.0
"""For a look at all files."""
_IDLE = frozenset(["harness-init", "sh", "sleep", "tail", "tini", "docker-init", "catatonit", "pause"])
"""What may run on a machine on which nothing happens by itself."""
_LARGEST = 1 << 20
"""Bytes of a file that is looked through for secrets."""


def witness_of(
    context: Context, binaries: Binaries, connections: Mapping[str, Connection], arguments: RunArguments, step: str
) -> Witness | None:
    """One that has looked already; None where nothing is to be checked."""
    again = _AGAIN | {"times"} if context.ledger.overran else _AGAIN
    wanted = context.checks if step == "converge" else context.checks & again
    if step not in ("converge", "idempotence") or not wanted:
        return None
    found = Witness(context, binaries, connections, arguments, wanted, "" if step == "converge" else SECOND_RUN)
    found.look_before()
    return found


def settle(connection: Connection, before: Machine, seen: Machine) -> None:
    """Look at the processes again while one is still the runner: what a runner has started in the background bears the
    runner's name until exec(2) has happened, and an honest one is not accused of that."""
    from harness.verify.conduct.strangers import runners_left

    def settled(last: bool) -> bool | None:
        if not runners_left(before, seen):
            return True
        seen.processes = capture(connection, Look(processes=True), timeout=_PATIENCE).processes
        return True if last else None

    poll(settled, Deadline(_EXEC_SECONDS), interval=0.1)


@dataclass
class _Sight:
    """One host's. `since`: our own clock as the first look began."""

    payload: Payload
    look: Look
    before: Machine | None = None
    after: Machine | None = None
    since: float = 0.0
    elapsed: float = 0.0
    unseen: str = ""
    records: list[TaskRecord] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    leaks: tuple[str, ...] = ()
    trees: list[Tree] = field(default_factory=list)


class Witness:
    def __init__(
        self,
        context: Context,
        binaries: Binaries,
        connections: Mapping[str, Connection],
        arguments: RunArguments,
        wanted: frozenset[str],
        part: str,
    ) -> None:
        self._context = context
        self._binaries = binaries
        self._connections = connections
        self._arguments = arguments
        self._wanted = wanted
        self._part = part
        self._lock = threading.Lock()
        self._sights = {host: _Sight(binaries.payloads[host], self._look_at(host)) for host in binaries.decisions}

    def _look_at(self, host: str) -> Look:
        from harness.verify.conduct.named import look_at

        look = look_at(self._binaries.payloads[host], host)
        endpoint = self._context.fleet.members[host].endpoint
        # On this host itself there may be runners of others.
        return replace(look, processes=False) if endpoint is not None and endpoint.kind == "local" else look

    def heard(self, host: str, record: TaskRecord) -> None:
        """A task has ended there."""
        with self._lock:
            self._sights[host].records.append(record)

    def ended(self, host: str, ending: Ending) -> None:
        """A runner has ended there."""
        with self._lock:
            self._sights[host].endings.append(ending)

    def look_before(self) -> None:
        if self._wanted & (_NEEDS_MACHINE - {"times"} if self._part else _NEEDS_MACHINE):
            outcome = self._context.each(list(self._sights), self._before)
            self._unseen(outcome.failed)

    def verdict(self, results: Mapping[str, HostExecutionResult]) -> list[CheckResult]:
        """What the wanted checks say, host by host."""
        from harness.verify.conduct.judge import judge
        from harness.verify.conduct.values import overrunning

        waiting = [
            host
            for host, result in results.items()
            if result.error is None and host in self._sights and self._sights[host].before is not None
        ]
        # Another host may have taken all the time there was.
        deadline = Deadline(max(self._context.deadline.remaining(), _PATIENCE))
        outcome = self._context.each(waiting, lambda host: self._after(host, results[host]), deadline)
        self._unseen(outcome.failed)
        evidence = [self._evidence(result) for host, result in results.items() if host in self._sights]
        found = [result for one in evidence for result in judge(one, self._wanted)]
        if not self._part:
            for one in evidence:
                if late := {turn.task.task_id for turn in overrunning(one)}:
                    self._context.ledger.overran[one.host] = late
        return [self._masked(result) for result in found]

    def _unseen(self, failed: Mapping[str, BaseException]) -> None:
        """Who cannot be looked at is not judged by what would be seen there."""
        for host, error in failed.items():
            if not isinstance(error, HarnessError):
                raise error
            self._sights[host].unseen = error.message

    def _before(self, host: str) -> None:
        sight = self._sights[host]
        self._grow(host)
        sight.since = time.monotonic()
        sight.before = capture(self._connections[host], sight.look, timeout=_PATIENCE)

    def _after(self, host: str, result: HostExecutionResult) -> None:
        sight, connection = self._sights[host], self._connections[host]
        assert sight.before is not None
        made = [path for task in result.task_results for path in task.artifacts_created if path.startswith("/")]
        look = replace(sight.look, paths=sorted({*sight.look.paths, *made}))
        sight.elapsed = time.monotonic() - sight.since
        seen = capture(connection, look, timeout=_PATIENCE)
        settle(connection, sight.before, seen)
        if (seen.sockets_in_use or 0) > (sight.before.sockets_in_use or 0):
            seen.sockets = capture(connection, Look(sockets=True), timeout=_PATIENCE).sockets
        if self._context.secrets and "secrets" in self._wanted:
            sight.leaks = self._leaked_into(connection, sight.before, seen)
        self._grow(host)
        sight.after = seen

    def _grow(self, host: str) -> None:
        """All files, where they are asked for: those that were written, where the driver knows them."""
        if "tree" not in self._wanted:
            return
        from harness.verify.conduct.evidence import Tree

        member, connection = self._context.fleet.members[host], self._connections[host]
        written = member.site.written(member.instance)
        look = Look(paths=written.paths, trees=written.elsewhere) if written else Look(everything=True)
        seen = capture(connection, look, timeout=_LONG_PATIENCE)
        self._sights[host].trees.append(Tree(seen.files, written.paths if written is not None else None))

    def _leaked_into(self, connection: Connection, before: Machine, after: Machine) -> tuple[str, ...]:
        """Files that everybody may read, that are new or other than before, and that hold a secret."""
        paths = [
            path
            for path, entry in after.files.items()
            if entry.kind == "file" and entry.mode & 0o004 and 0 < entry.size <= _LARGEST
            if path not in before.files or before.files[path].mtime != entry.mtime
        ]
        if not paths:
            return ()
        patterns = "\n".join(line for value in self._context.secrets.values() for line in value.splitlines() if line)
        words = " ".join(shlex.quote(path) for path in paths)
        found = connection.run(f"grep -lF -f - -- {words}", stdin=patterns.encode(), timeout=_PATIENCE)
        return tuple(found.stdout.decode(errors="surrogateescape").splitlines())

    def _evidence(self, result: HostExecutionResult) -> Evidence:
        from harness.verify.conduct.evidence import Evidence
        from harness.verify.conduct.leaks import in_binary

        host, sight = result.host, self._sights[result.host]
        binary = self._binaries.of_host.get(host)
        context, checks = self._context, self._context.scenario.verifier.checks
        return Evidence(
            host=host,
            payload=sight.payload,
            result=result,
            records=tuple(sight.records),
            endings=tuple(sight.endings),
            tags=self._arguments.tags,
            skip_tags=self._arguments.skip_tags,
            check_mode=self._arguments.check,
            before=sight.before,
            after=sight.after,
            elapsed=sight.elapsed,
            trees=(sight.trees[0], sight.trees[1]) if len(sight.trees) == 2 else None,
            part=self._part,
            overran=context.ledger.overran.get(host, ()),
            unseen=sight.unseen,
            alone=self._alone(host),
            clock_set=context.faults.clock_was_set(host),
            binary_leaks=(
                in_binary(binary.binary_path, context.secrets, sight.payload.model_dump_json())
                if binary is not None and context.secrets
                else ()
            ),
            file_leaks=sight.leaks,
            secrets=context.secrets,
            touches=checks.touches,
            allowed=checks.allowed,
        )

    def _alone(self, host: str) -> bool:
        context = self._context
        member = context.fleet.members[host]
        endpoint, options = member.endpoint, member.spec.options
        if endpoint is None or endpoint.kind not in ("sandbox", "docker") or context.scenario.provisioner.faults:
            return False
        if "host" in (getattr(options, "network", None), getattr(options, "network_mode", None)):
            return False
        before = self._sights[host].before
        processes = before.processes if before is not None else None
        idle = processes is not None and all(process.name in _IDLE for process in processes)
        return idle and (member.facts or self._connections[host].facts()).init == "none"

    def _masked(self, result: CheckResult) -> CheckResult:
        return result.model_copy(update=self._context.mask.tree(result.model_dump(exclude={"duration", "outcome"})))
