"""After `prepare`: what it made is published, and this run, too, goes on from what it has published."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from harness.deadline import Deadline
from harness.drivers.base import Capability, Snapshot
from harness.errors import HarnessError, Interrupted
from harness.lifecycle.failures import StepFailed, all_done, describe_all, raise_defects
from harness.lifecycle.snapshots import losses, shelf, upkeep
from harness.lifecycle.snapshots.choose import look_up
from harness.lifecycle.snapshots.losses import Seen
from harness.lifecycle.snapshots.shelf import Announcement, Part, Planned, SnapshotSet
from harness.models.results import SnapshotUse

if TYPE_CHECKING:
    from harness.lifecycle.context import Context

_PATIENCE = 600.0
"""Seconds for all of it: like compiling, it is not the scenario's time."""
_WAIT = 120.0
"""Seconds to wait for another run that publishes the same."""


def is_due(context: Context) -> bool:
    """Whether this run is to make one once `prepare` has run."""
    planned = context.ledger.planned
    return planned is not None and planned.found is None


def before_prepare(context: Context) -> Mapping[str, Seen]:
    """What `publish` wants to know of the platforms as they are before."""
    return losses.look(context) if is_due(context) else {}


def publish(context: Context, before: Mapping[str, Seen]) -> None:
    """Make the snapshots, unless another run has, and go on from them; nothing where none is due.

    Where they cannot be made (a full disk), the platforms are restarted: so their state is what a snapshot would have
    given. Raises StepFailed when a platform cannot go on.
    """
    planned = context.ledger.planned
    if planned is None or planned.found is not None:
        return
    with context.deadline.aside(_PATIENCE):
        clock = Deadline(_PATIENCE)
        left = losses.left_running(before, losses.look(context), losses.look(context)) if before else {}
        try:
            made = _published(context, planned, clock)
        except Interrupted:
            raise
        except HarnessError as error:
            _go_on_without(context, error, clock)
        else:
            _go_on_from(context, made, left, clock)


def use(context: Context, planned: Planned, *, made: bool) -> None:
    """Write down, and tell, which snapshot every platform goes on from."""
    record = planned.found
    assert record is not None
    for part in record.parts:
        member = context.fleet.members[part.platform]
        host, member.snapshot = part.platform, record.key
        context.remember(partial(context.journal.started_from, member.run, context.scenario.name, host, record.key))
        context.ledger.snapshots[host] = SnapshotUse(
            host=host,
            key=record.key,
            created=datetime.fromtimestamp(record.created, UTC),
            made=made,
            missing=list(part.missing),
            lost=list(part.lost),
        )
        if part.missing and Capability.LIVE_STATE in member.site.capabilities:
            context.note(
                f"{host}: the snapshot {planned.short} is without {', '.join(part.missing)}: it boots from its disk,"
                " and what prepare left running is gone"
            )
        if part.lost:
            context.note(
                f"{host}: what prepare left and no snapshot holds is gone: {', '.join(part.lost)}"
                " (see docs/snapshots.md; `snapshot: false` on the platform keeps it)"
            )


def _published(context: Context, planned: Planned, clock: Deadline) -> Planned:
    if planned.fault:
        raise HarnessError(planned.fault)
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
                parts=tuple(_part(snapshots[name]) for name in context.hosts),
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
        if member.connection is not None:
            member.connection.tidy()
        snapshot = member.site.snapshot(member.instance, keys[name])
        context.time("prepare", name, "snapshot", time.monotonic() - started)
        return snapshot

    outcome = context.each(list(keys), take, clock)
    raise_defects(outcome)
    if outcome.failed:
        raise HarnessError(describe_all(outcome.failed))
    return outcome.done


def _part(snapshot: Snapshot) -> Part:
    return Part(
        driver=snapshot.driver,
        platform=snapshot.platform,
        key=snapshot.key,
        digest=snapshot.digest,
        size=snapshot.size,
        missing=snapshot.missing,
    )


def _tidy(context: Context, former: SnapshotSet | None) -> None:
    """The one that was replaced, and those that this scenario will hardly come back to."""
    try:
        if former is not None:
            upkeep.drop_parts(former, context.fleet.site)
        upkeep.drop_former(context.scenario.ref.project, context.scenario.name, context.fleet.site)
    except HarnessError as error:
        context.note(f"snapshots of earlier runs are left ({error.message}); `harness snapshot prune` removes them")


def _go_on_from(context: Context, planned: Planned, left: Mapping[str, Counter[str]], clock: Deadline) -> None:
    assert planned.found is not None
    folders = {part.platform: part.missing for part in planned.found.parts}
    then = losses.look(context, folders) if left else {}

    def revert(name: str) -> None:
        started = time.monotonic()
        context.fleet.revert(name, planned.bases[name], clock)
        took = time.monotonic() - started
        context.event("prepare", name, f"goes on from snapshot {planned.short}, back in {took * 1000:.0f} ms")
        context.time("prepare", name, "revert", took)

    all_done(context.each(context.hosts, revert, clock))
    lost = losses.lost(left, then, losses.look(context, folders)) if left else {}
    context.ledger.planned = replace(planned, found=_with_losses(context, planned.found, lost))
    use(context, context.ledger.planned, made=planned.found.run == context.run.value)


def _with_losses(context: Context, record: SnapshotSet, lost: Mapping[str, list[str]]) -> SnapshotSet:
    """Later runs are told of them, too."""
    parts = tuple(part.model_copy(update={"lost": tuple(lost.get(part.platform, ()))}) for part in record.parts)
    told = record.model_copy(update={"parts": parts})
    if lost and record.run == context.run.value:
        context.remember(partial(shelf.put, told))
    return told


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
