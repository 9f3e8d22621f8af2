"""After `prepare`: what it made is published, and this run, too, goes on from what it has published."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import Capability, Snapshot
from harness.errors import HarnessError, Interrupted
from harness.lifecycle.failures import StepFailed, all_done, describe_all, raise_defects
from harness.lifecycle.snapshots import shelf, upkeep
from harness.lifecycle.snapshots.choose import Planned, look_up
from harness.lifecycle.snapshots.shelf import Announcement, Part, SnapshotSet
from harness.models.results import SnapshotUse

if TYPE_CHECKING:
    from harness.lifecycle.context import Context

_PATIENCE = 600.0
"""Seconds for all of it: like compiling, it is not the scenario's time."""
_WAIT = 120.0
"""Seconds to wait for another run that publishes the same."""
_PROCESSES = """
cd /proc || exit 0
for p in [0-9]*; do { read -r name <"$p/comm" && echo "$p $name"; } 2>/dev/null; done; true
"""

Processes = Mapping[str, frozenset[str]]
"""By platform: each with its process id, which tells it from a later one of the same name."""


def processes(context: Context) -> Processes:
    """What runs on the platforms whose processes no snapshot will hold, as far as that can be told."""
    planned = context.ledger.planned
    if planned is None or planned.found is not None:
        return {}

    def look(name: str) -> frozenset[str]:
        return _seen(context.fleet.connection(name))

    hosts = [name for name in context.hosts if _loses_processes(context, name)]
    outcome = context.each(hosts, look)
    raise_defects(outcome)
    return outcome.done


def publish(context: Context, before: Processes) -> None:
    """Make the snapshots, unless another run has, and go on from them. Without `planned` it does nothing.

    Where they cannot be made (a full disk), the platforms are restarted: so their state is what a snapshot would have
    given. Raises StepFailed when a platform cannot go on.
    """
    planned = context.ledger.planned
    if planned is None or planned.found is not None:
        return
    ended = _left_running(context, before)
    clock = Deadline(_PATIENCE)
    try:
        try:
            made = _published(context, planned, ended, clock)
        except Interrupted:
            raise
        except HarnessError as error:
            _go_on_without(context, error, clock)
        else:
            _go_on_from(context, made, clock)
    finally:
        context.deadline.extend(clock.elapsed())


def use(context: Context, planned: Planned, *, made: bool) -> None:
    """Write down, and tell, which snapshot every platform goes on from."""
    record = planned.found
    assert record is not None
    for part in record.parts:
        member = context.fleet.members[part.platform]
        run, host = member.run, part.platform
        context.remember(lambda run=run, host=host: context.journal.started_from(run, context.scenario.name, host, record.key))  # type: ignore[misc]  # fmt: skip
        context.ledger.snapshots[host] = SnapshotUse(
            host=host, key=record.key, created=record.created, made=made, missing=part.missing, ended=part.ended
        )
        if part.ended:
            cure = "enable them as units" if "/run" in part.missing else "start them in the plan"
            context.note(
                f"{host}: what prepare started does not run any more: {', '.join(part.ended)}; a snapshot holds no"
                f" processes ({cure}, or say `snapshot: false` on the platform)"
            )


def _published(context: Context, planned: Planned, ended: Mapping[str, tuple[str, ...]], clock: Deadline) -> Planned:
    with shelf.lock(planned.key).acquire("prepare", timeout=_WAIT):
        if not context.options.force:
            other = look_up(context, planned) if shelf.read(planned.key) else planned
            if other.found is not None:
                context.log_line("prepare", f"another run has published the snapshot {planned.short}; it is used")
                return other
        former = shelf.read(planned.key)
        keys = {name: secrets.token_hex(32) for name in context.hosts}
        with _announced(context, keys):
            snapshots = _take(context, keys, clock)
            record = SnapshotSet(
                key=planned.key,
                project=context.scenario.ref.project,
                scenario=context.scenario.name,
                run=context.run.value,
                created=time.time(),
                inputs=dict(planned.inputs),
                parts=tuple(_part(snapshots[name], ended.get(name, ())) for name in context.hosts),
            )
            shelf.put(record)
    _tidy(context, former)
    return replace(planned, found=record, bases=snapshots)


@contextmanager
def _announced(context: Context, keys: Mapping[str, str]) -> Iterator[None]:
    """Written down before anything is made; what was made goes again where the whole fails."""
    planned = [(context.fleet.specs[name].driver, name, key) for name, key in keys.items()]
    run = context.run.value
    shelf.announce(Announcement(run=run, lock=context.workspace.run_lock_path(context.run), planned=planned))
    try:
        yield
    except BaseException:
        for driver, name, key in planned:
            with suppress(HarnessError):
                context.fleet.site(driver).delete_snapshot(Snapshot(driver, key, name, 0.0, 0))
        raise
    finally:
        shelf.withdraw(run)


def _take(context: Context, keys: Mapping[str, str], clock: Deadline) -> dict[str, Snapshot]:
    def take(name: str) -> Snapshot:
        started = time.monotonic()
        member = context.fleet.members[name]
        snapshot = member.site.snapshot(member.instance, keys[name])
        context.time("prepare", name, "snapshot", time.monotonic() - started)
        return snapshot

    outcome = context.each(list(keys), take, clock)
    raise_defects(outcome)
    if outcome.failed:
        raise HarnessError(describe_all(outcome.failed))
    return outcome.done


def _part(snapshot: Snapshot, ended: tuple[str, ...]) -> Part:
    return Part(
        driver=snapshot.driver,
        platform=snapshot.platform,
        key=snapshot.key,
        digest=snapshot.digest,
        size=snapshot.size,
        missing=snapshot.missing,
        ended=ended,
    )


def _tidy(context: Context, former: SnapshotSet | None) -> None:
    """The one that was replaced, and those that this scenario will hardly come back to."""
    try:
        if former is not None:
            upkeep.drop_parts(former, context.fleet.site)
        upkeep.drop_former(context.scenario.ref.project, context.scenario.name, context.fleet.site)
    except HarnessError as error:
        context.note(f"snapshots of earlier runs are left ({error.message}); `harness snapshot prune` removes them")


def _go_on_from(context: Context, planned: Planned, clock: Deadline) -> None:
    def revert(name: str) -> None:
        started = time.monotonic()
        context.fleet.revert(name, planned.bases[name], clock)
        took = time.monotonic() - started
        context.event("prepare", name, f"goes on from snapshot {planned.short}, back in {took * 1000:.0f} ms")
        context.time("prepare", name, "revert", took)

    all_done(context.each(context.hosts, revert, clock))
    context.ledger.planned = planned
    use(context, planned, made=True)


def _go_on_without(context: Context, error: HarnessError, clock: Deadline) -> None:
    """Restarted: files stay, processes and tmpfs go, as with a snapshot, so that the verdict is the same."""
    cannot = [name for name in context.hosts if Capability.REBOOT not in context.fleet.members[name].site.capabilities]
    if cannot:
        raise StepFailed(
            f"what prepare made could not be kept as a snapshot: {error.message}\n"
            f"{', '.join(cannot)} cannot be restarted, so its state would not be what it is from a snapshot\n"
            "hint: --no-snapshot goes on from the prepared state as it is",
            outcome="error",
        )
    all_done(context.each(context.hosts, lambda name: context.fleet.restart(name, clock), clock))
    context.ledger.planned = None
    context.note(
        f"what prepare made could not be kept as a snapshot ({error.message}); the platforms were restarted,"
        " and so are as a snapshot would have them"
    )


def _left_running(context: Context, before: Processes) -> dict[str, tuple[str, ...]]:
    """Seen twice: what is only passing, the look itself included, has another process id the second time."""
    if not before:
        return {}
    first, second = processes(context), processes(context)
    found = {}
    for name, then in before.items():
        new = (first.get(name, frozenset()) & second.get(name, frozenset())) - then
        if new:
            found[name] = tuple(sorted({one.partition(" ")[2] for one in new}))
    return found


def _loses_processes(context: Context, name: str) -> bool:
    capabilities = context.fleet.members[name].site.capabilities
    # Where nothing is isolated, others' processes would be seen.
    isolated = Capability.ISOLATED in capabilities and Capability.LIVE_STATE not in capabilities
    return isolated and context.fleet.specs[name].os == "linux"


def _seen(connection: Connection) -> frozenset[str]:
    return frozenset(connection.run(_PROCESSES, timeout=30.0).out.splitlines())
