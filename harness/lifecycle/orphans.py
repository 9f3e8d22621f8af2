"""What dead runs left, and what is left of a scenario that is to be destroyed: told by labels, from the real systems.

An orphan is a labelled thing whose run's lock is free and that was not kept on purpose, whichever project made it.
Kept on purpose: labelled so, and its project's journal does not say that its creation or destruction was cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from harness import registry, scratch
from harness.drivers.base import Driver, InstanceRecord, NotAllListed, RunId
from harness.errors import HarnessError
from harness.faults import ways
from harness.lifecycle.journal import InstanceRow, Journal
from harness.lifecycle.locks import is_free
from harness.lifecycle.snapshots import upkeep
from harness.lifecycle.workspace import Workspace


@dataclass
class Reaped:
    """What became of it; `failed` and `unasked` in words."""

    removed: list[InstanceRecord] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    """What runs left that died while they published one."""
    unasked: list[str] = field(default_factory=list)
    """Drivers that could not be asked, and why."""


@dataclass(frozen=True)
class Living:
    """An instance as a driver tells of it, and whether it is an orphan (why), or None."""

    record: InstanceRecord
    orphan: str | None


def loadable_drivers(names: Sequence[str] | None = None) -> Iterator[tuple[str, Driver | None, str]]:
    """(name, driver, "") of those that can be asked, (name, None, why) of the others. What a driver left can be found
    and removed even where it could not make anything new today: nobody asks it for that."""
    for name in names if names is not None else registry.names(registry.DRIVERS):
        try:
            yield name, registry.driver(name), ""
        except HarnessError as error:
            yield name, None, error.message


def living(unasked: list[str] | None = None, *, drivers: Sequence[str] | None = None) -> list[Living]:
    """Everything of ours that exists, of all projects, from the real systems (of these drivers, or of all)."""
    journals: dict[Path, list[InstanceRow] | None] = {}
    found: list[Living] = []
    silent: list[str] = []
    for name, driver, why in loadable_drivers(drivers):
        if driver is None:
            silent.append(f"{name}: {why}")
            continue
        try:
            records: Sequence[InstanceRecord] = driver.instances()
        except NotAllListed as error:
            silent.append(f"{name}: {error.message}; {error.hint}")
            records = error.found
        except HarnessError as error:
            silent.append(f"{name}: {error.message}")
            continue
        found += [Living(record, _orphaned(record, journals)) for record in records]
    if unasked is not None:
        unasked += silent
    return found


def destroy_orphans(workspace: Workspace | None, on_removed: Callable[[InstanceRecord, str], None]) -> Reaped:
    """Remove every orphan, then what the dead runs left in the journals and folders of their projects."""
    reaped = Reaped()
    for item in living(reaped.unasked):
        if item.orphan is None:
            continue
        if _reap(item.record, reaped):
            on_removed(item.record, item.orphan)
    scratch.sweep(ways.KIND)
    with upkeep.surveyed() as survey:
        reaped.snapshots += upkeep.sweep(survey, reaped.failed)
    workspaces = {Workspace.of(record.project) for record in reaped.removed if record.project.exists()}
    if workspace is not None:
        workspaces.add(workspace)
    for each in workspaces:
        try:
            sweep(each)
        except HarnessError as error:
            reaped.failed.append(error.message)
    return reaped


def clear_stale(workspace: Workspace, journal: Journal, scenario: str) -> None:
    """Before a scenario's instances are looked at: what a verb left that was killed while it made or destroyed one."""
    stale = [
        row
        for row in journal.instances(scenario)
        if not (row.keep and row.status == "created") and is_free(workspace.run_lock_path(row.run))
    ]
    if not stale:
        return
    runs = {row.run for row in stale}
    reaped = Reaped()
    for item in living(drivers=sorted({row.driver for row in stale})):
        if item.orphan is not None and item.record.run in runs:
            _reap(item.record, reaped)
    if not reaped.failed:
        for row in stale:
            journal.destroyed(row.run, row.scenario, row.platform)


def destroy_leftovers(
    project: Path,
    scenario: str,
    platforms: Sequence[str] | None,
    on_removed: Callable[[InstanceRecord, str], None],
    *,
    drivers: Sequence[str] | None = None,
) -> Reaped:
    """What still carries the scenario's labels: kept, or of a dead run. For `destroy`, under the scenario's lock."""
    reaped = Reaped()
    for item in living(reaped.unasked, drivers=drivers):
        record = item.record
        ours = record.project == project and record.scenario == scenario
        if not ours or (platforms is not None and record.platform not in platforms):
            continue
        if (record.kept or item.orphan is not None) and _reap(record, reaped):
            on_removed(record, item.orphan or "it was kept")
    return reaped


def sweep(workspace: Workspace) -> None:
    """Mark dead runs as ended, and forget their instances and locks. Whoever still lives is left alone."""
    if not workspace.database.exists():
        return
    with closing(Journal.open(workspace.database)) as journal:
        for run in journal.unfinished_runs():
            if is_free(workspace.run_lock_path(run.run)):
                journal.end_run(run.run, "died")
        for row in journal.instances():
            kept = row.keep and row.status == "created"
            if not kept and is_free(workspace.run_lock_path(row.run)):
                journal.destroyed(row.run, row.scenario, row.platform)
    for path in (workspace.root / "locks").glob("run-*.lock"):
        if is_free(path):
            path.unlink(missing_ok=True)
    for path in workspace.runs.glob(".latest-*"):
        if is_free(workspace.run_lock_path(RunId(path.name.removeprefix(".latest-")))):
            path.unlink(missing_ok=True)


def _reap(record: InstanceRecord, reaped: Reaped) -> bool:
    try:
        registry.driver(record.driver).reap(record)
    except HarnessError as error:
        reaped.failed.append(f"{record.driver} {record.id} ({record.platform} of {record.scenario}): {error.message}")
        return False
    reaped.removed.append(record)
    return True


def _orphaned(record: InstanceRecord, journals: dict[Path, list[InstanceRow] | None]) -> str | None:
    workspace = Workspace.of(record.project)
    # The file given by --config may have gone while its run goes on: its state lies beside where it was.
    homes = (workspace, Workspace(record.project.parent / ".harness"))
    if not all(is_free(home.run_lock_path(record.run)) for home in homes):
        return None
    if not record.kept:
        return f"its run {record.run} has died"
    if not record.project.exists():
        return f"its project {record.project} has gone"
    if workspace.root not in journals:
        journals[workspace.root] = _rows(workspace)
    for row in journals[workspace.root] or []:
        if (row.run, row.scenario, row.platform) == (record.run, record.scenario, record.platform):
            if row.status == "created":
                return None if row.keep else f"its run {record.run} has died"
            return f"its run {record.run} died while {row.status} it"
    return None


def _rows(workspace: Workspace) -> list[InstanceRow] | None:
    """None where there is no journal, or one that cannot be read: then the label alone counts."""
    if not workspace.database.exists():
        return None
    try:
        with closing(Journal.open_for_reading(workspace.database)) as journal:
            return journal.instances()
    except HarnessError:
        return None
