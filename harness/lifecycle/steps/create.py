"""Create what is missing and make it reachable; destroy what there is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from harness.drivers.base import Snapshot
from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped, all_done, describe_all
from harness.lifecycle.locks import is_free
from harness.lifecycle.orphans import destroy_leftovers
from harness.lifecycle.snapshots.choose import choose, named_bases
from harness.lifecycle.snapshots.publish import use
from harness.lifecycle.snapshots.shelf import Planned
from harness.lifecycle.units import warn_of_unconfined


def create(context: Context) -> None:
    if not context.fleet.missing:
        context.connections("create")
        raise StepSkipped("they exist already")
    named = named_bases(context)
    planned = choose(context, named)
    if planned is not None and planned.found is not None and not _from_snapshot(context, planned):
        planned = replace(planned, found=None)
    context.ledger.planned = planned
    if planned is None or planned.found is None:
        _make(context, named)
    if context.verb == "create":
        with suppress(StepFailed):  # whoever needs to know asks again, and says why not
            context.facts(context.hosts, context.connections("create"))


def _from_snapshot(context: Context, planned: Planned) -> bool:
    """Whether all came up from it. One that does not fit is not trusted: they are made without it."""
    try:
        _make(context, planned.bases, told=f" from snapshot {planned.short}")
    except StepFailed as failure:
        context.note(f"the snapshot {planned.short} does not do, prepare is run again: {failure.reason}")
        all_done(context.each(context.hosts, context.fleet.destroy))
        return False
    for name in context.hosts:
        mark_prepared(context, name)
    use(context, planned, made=False)
    return True


def _make(context: Context, bases: Mapping[str, Snapshot], *, told: str = "") -> None:
    """Raises StepFailed; platforms of other drivers than the one that failed may exist then."""
    fleet = context.fleet
    missing = set(fleet.missing)
    wanted = {
        driver: [spec.name for spec in specs if spec.name in missing]
        for driver, specs in fleet.drivers().items()
        if any(spec.name in missing for spec in specs)
    }

    def make(driver: str) -> None:
        started = time.monotonic()
        fleet.create(driver, wanted[driver], bases)
        took = time.monotonic() - started
        for name in wanted[driver]:
            context.event("create", name, f"created by {driver}{told} in {took * 1000:.0f} ms")
            context.time("create", name, "create", took)

    all_done(context.each(list(wanted), make))
    context.connections("create")
    warn_of_unconfined(context, missing)


def mark_prepared(context: Context, name: str) -> None:
    """`prepare` has been done on it, and is not done again."""
    member = context.fleet.members[name]
    if not member.prepared:
        member.prepared = True
        context.journal.prepared(member.run, context.scenario.name, name)


def destroy(context: Context) -> None:
    """Everything of this run; for the verb `destroy` also what else carries the scenario's labels."""
    existed = bool(context.hosts)
    _destroy_members(context)
    if context.verb == "destroy":
        existed = _destroy_leftovers(context) or existed
    if not existed:
        raise StepSkipped("nothing exists")


def _destroy_leftovers(context: Context) -> bool:
    rows = context.journal.instances(context.scenario.name)
    drivers = {row.driver for row in rows} | set(context.fleet.drivers())
    reaped = destroy_leftovers(
        context.scenario.ref.project,
        context.scenario.name,
        context.options.platforms or None,
        lambda record, why: context.event("destroy", record.platform, f"destroyed ({why})"),
        drivers=sorted(drivers),
    )
    if reaped.failed:
        raise StepFailed("\n".join(reaped.failed), outcome="error")
    for row in rows:
        if not context.options.platforms or row.platform in context.options.platforms:
            gone = row.keep or is_free(context.workspace.run_lock_path(row.run))
            if gone and row.run != context.run:
                context.journal.destroyed(row.run, row.scenario, row.platform)
    return bool(reaped.removed)


def _destroy_members(context: Context) -> None:

    def remove(name: str) -> None:
        started = time.monotonic()
        context.fleet.destroy(name)
        context.event("destroy", name, f"destroyed in {(time.monotonic() - started) * 1000:.0f} ms")

    outcome = context.each(context.hosts, remove)
    if outcome.failed:
        hint = "\nhint: harness destroy --orphans removes what is left of ours, once the cause is gone"
        raise StepFailed(describe_all(outcome.failed) + hint, outcome="error")
