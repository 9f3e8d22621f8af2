"""What exists, for `list`: as the journal says, or as the real systems say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from harness.lifecycle.journal import InstanceRow, Journal
from harness.lifecycle.orphans import living
from harness.lifecycle.workspace import Workspace
from harness.models.scenario import Scenario


@dataclass(frozen=True)
class Listed:
    """One platform of a scenario, with Molecule's columns."""

    instance: str
    driver: str
    provisioner: str
    scenario: str
    created: bool
    converged: bool
    status: str = ""
    run: str = ""
    snapshot: str = ""
    """The key of the snapshot that it started from."""


@dataclass(frozen=True)
class ListedLive:
    """One instance that exists. `orphan`: why it is one."""

    instance: str
    driver: str
    scenario: str
    project: str
    run: str
    id: str
    status: str
    kept: bool
    orphan: str | None


def list_scenarios_platforms(project: Path, scenarios: Sequence[Scenario]) -> list[Listed]:
    """From the journal; nothing real is asked, and nothing is written."""
    with closing(Journal.open_for_reading(Workspace.of(project).database)) as journal:
        return [row for scenario in scenarios for row in _of_scenario(scenario, journal.kept(scenario.name))]


def _of_scenario(scenario: Scenario, kept: Mapping[str, InstanceRow]) -> list[Listed]:
    rows = []
    known = {platform.name for platform in scenario.platforms}
    for platform in scenario.platforms:
        row = kept.get(platform.name)
        rows.append(_listed(scenario, platform.name, platform.driver, row))
    rows += [_listed(scenario, name, row.driver, row) for name, row in kept.items() if name not in known]
    return rows or [_without_platforms(scenario)]


def _without_platforms(scenario: Scenario) -> Listed:
    """Its inventory is its own; there it is all the same."""
    from harness.ansible.ephemeral import created_mark

    listed = _listed(scenario, "", scenario.driver, None)
    return replace(listed, created=scenario.provisioner.ansible is not None and created_mark(scenario).is_file())


def _listed(scenario: Scenario, name: str, driver: str, row: InstanceRow | None) -> Listed:
    return Listed(
        instance=name,
        driver=driver,
        provisioner=scenario.provisioner.name,
        scenario=scenario.name,
        created=row is not None,
        converged=row is not None and row.converged_run is not None,
        status=row.status if row is not None else "",
        run=str(row.run) if row is not None else "",
        snapshot=row.snapshot if row is not None else "",
    )


def list_live(unasked: list[str]) -> list[ListedLive]:
    """Everything of ours that exists on this machine, of all projects."""
    return [
        ListedLive(
            instance=item.record.platform,
            driver=item.record.driver,
            scenario=item.record.scenario,
            project=str(item.record.project),
            run=str(item.record.run),
            id=item.record.id,
            status=item.record.status,
            kept=item.record.kept,
            orphan=item.orphan,
        )
        for item in living(unasked)
    ]
