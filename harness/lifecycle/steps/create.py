"""Create what is missing and make it reachable; destroy what there is."""

from __future__ import annotations

import time

from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped, all_done, describe_all
from harness.lifecycle.locks import is_free
from harness.lifecycle.orphans import destroy_leftovers
from harness.lifecycle.units import warn_of_unconfined


def create(context: Context) -> None:
    fleet = context.fleet
    missing = set(fleet.missing)
    if not missing:
        context.connections("create")
        raise StepSkipped("they exist already")
    wanted = {
        driver: [spec.name for spec in specs if spec.name in missing]
        for driver, specs in fleet.drivers().items()
        if any(spec.name in missing for spec in specs)
    }

    def make(driver: str) -> None:
        started = time.monotonic()
        fleet.create(driver, wanted[driver])
        took = time.monotonic() - started
        for name in wanted[driver]:
            context.event("create", name, f"created by {driver} in {took * 1000:.0f} ms")
            context.time("create", name, "create", took)

    all_done(context.each(list(wanted), make))
    context.connections("create")
    warn_of_unconfined(context, missing)


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
