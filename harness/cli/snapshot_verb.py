"""`harness snapshot list|create|restore|delete|prune`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import Common, common

if TYPE_CHECKING:
    from harness.models.scenario import Scenario


@click.group(name="snapshot", help="List, make, restore, delete or prune snapshots.")
def command() -> None:
    pass


@command.command("list")
@common
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_snapshots(common: Common, as_json: bool) -> int:
    """What is kept of `prepare` (of all projects), and what people named (of this one)."""
    from harness.lifecycle.several import project_or_here
    from harness.lifecycle.snapshots import shelf, upkeep

    max_age = common.settings(project_or_here()).snapshots.max_age_hours * 3600
    with upkeep.surveyed() as survey:
        automatic = [_automatic(survey.shelved(record, max_age)) for record in shelf.all_sets()]
    named = _named(common)
    if as_json:
        click.echo(json.dumps({"automatic": automatic, "named": named}, indent=2))
    else:
        _show(automatic, named)
    for line in survey.unasked:
        click.echo(f"not asked: {line}", err=True)
    return 0


@command.command("create")
@common
@click.argument("name")
def create(common: Common, name: str) -> int:
    """Save the kept platforms of a scenario, as they are, under NAME."""
    from harness.lifecycle.snapshots import named

    _check(name)
    with _kept(common, "snapshot create") as here:
        for platform, snapshot in sorted(named.create(here, name).items()):
            lacks = f"; without {', '.join(snapshot.missing)}" if snapshot.missing else ""
            click.echo(f"{platform}: {name}, {_size(snapshot.size)}{lacks}")
    return 0


@command.command("restore")
@common
@click.argument("name")
def restore(common: Common, name: str) -> int:
    """Bring the kept platforms of a scenario back to NAME; whatever came after it is gone."""
    from harness.lifecycle.snapshots import named

    with _kept(common, "snapshot restore") as here:
        for platform in sorted(named.restore(here, name)):
            click.echo(f"{platform}: as in {name}")
    return 0


@command.command("delete")
@common
@click.argument("name")
def delete(common: Common, name: str) -> int:
    """Delete the snapshot NAME of a scenario's platforms."""
    from harness.errors import UsageError
    from harness.lifecycle.journal import Journal
    from harness.lifecycle.snapshots import named
    from harness.lifecycle.workspace import Workspace

    scenario = _scenario(common)
    workspace = Workspace.of(scenario.ref.project)
    workspace.prepare()
    with closing(Journal.open(workspace.database)) as journal:
        removed = named.delete(scenario, name, journal)
    if not removed:
        raise UsageError(f"scenario {scenario.name!r} has no snapshot {name!r}", hint="harness snapshot list")
    for snapshot in removed:
        click.echo(f"{snapshot.platform}: {name} deleted")
    return 0


@command.command("prune")
@click.option("--all", "everything", is_flag=True, help="Every one that no platform lies on.")
def prune(everything: bool) -> int:
    """Remove what is kept of `prepare` and too old, incomplete or replaced; what people named stays."""
    from harness.lifecycle.several import project_or_here
    from harness.lifecycle.snapshots import upkeep
    from harness.scenario import load_settings

    max_age = load_settings(project_or_here()).snapshots.max_age_hours * 3600
    with upkeep.surveyed() as survey:
        pruned = upkeep.prune(survey, max_age=max_age, everything=everything)
    for line in pruned.removed:
        click.echo(f"removed {line}")
    for line in pruned.left:
        click.echo(f"left    {line}")
    for line in survey.unasked:
        click.echo(f"not asked: {line}", err=True)
    for line in pruned.failed:
        click.secho(f"error: {line}", fg="red", err=True)
    if not pruned.removed and not pruned.left and not pruned.failed:
        click.echo("nothing to remove")
    return 2 if pruned.failed else 0


def _check(name: str) -> None:
    from harness.drivers.base import NO_NAME, is_name
    from harness.errors import UsageError

    if not is_name(name):
        raise UsageError(f"{name!r} is {NO_NAME}")


def _scenario(common: Common) -> Scenario:
    from harness.errors import UsageError
    from harness.lifecycle.several import choose, project_folder

    selection = common.selection()
    chosen = choose(selection, common.settings(project_folder(selection)))
    if len(chosen) > 1:
        raise UsageError("one scenario at a time", hint="name one with -s")
    return chosen[0].scenario


def _kept(common: Common, verb: str) -> Any:
    from harness.lifecycle.run import check_platforms, require_drivers
    from harness.lifecycle.snapshots import named

    scenario = _scenario(common)
    options = common.run_options(common.settings(scenario.ref.project))
    check_platforms(scenario, options)
    require_drivers(scenario)
    return named.kept(scenario, verb, options, lambda line: click.echo(f"! {line}", err=True))


def _named(common: Common) -> list[dict[str, Any]]:
    from harness.errors import HarnessError
    from harness.lifecycle.snapshots import named
    from harness.scenario import find_project, load_scenario, select_scenarios

    try:
        project = find_project(Path.cwd())
        settings = common.settings(project)
        everything = common.everything or not common.scenario_names
        names = select_scenarios(project, common.scenario_names, everything=everything, exclude=common.exclude)
    except HarnessError:
        return []
    rows = []
    for name in names:
        try:
            scenario = load_scenario(project, name, settings=settings, overrides=common.selection().overrides)
            rows += [_row(scenario.name, snapshot) for _, snapshot in named.of_project(project, [scenario])]
        except HarnessError as error:
            click.echo(f"not asked: {name}: {error.message}", err=True)
    return rows


def _row(scenario: str, snapshot: Any) -> dict[str, Any]:
    return {
        "name": snapshot.key,
        "scenario": scenario,
        "platform": snapshot.platform,
        "driver": snapshot.driver,
        "created": snapshot.created,
        "size": snapshot.size,
        "missing": list(snapshot.missing),
        "used": list(snapshot.used),
    }


def _automatic(shelved: Any) -> dict[str, Any]:
    record = shelved.record
    return {
        "key": record.key,
        "scenario": record.scenario,
        "project": str(record.project),
        "created": record.created,
        "size": record.size,
        "platforms": [
            {"platform": part.platform, "driver": part.driver, "missing": list(part.missing), "lost": list(part.lost)}
            for part in record.parts
        ],
        "fault": shelved.fault,
        "used": list(shelved.used),
    }


def _show(automatic: list[dict[str, Any]], named: list[dict[str, Any]]) -> None:
    import time

    from harness.cli.table import table
    from harness.report.text import age

    def made(row: dict[str, Any]) -> str:
        return f"{age(time.time() - row['created'])} ago"

    rows = [
        (row["name"], row["scenario"], row["platform"], row["driver"], made(row), _size(row["size"]), _note(row))
        for row in named
    ]
    rows += [
        (
            row["key"][:12],
            row["scenario"],
            ", ".join(part["platform"] for part in row["platforms"]),
            ", ".join(dict.fromkeys(part["driver"] for part in row["platforms"])),
            made(row),
            _size(row["size"]),
            _note(row),
        )
        for row in automatic
    ]
    if rows:
        click.echo(table(("Snapshot", "Scenario", "Platforms", "Driver", "Made", "Size", "Note"), rows))
    else:
        click.echo("there are no snapshots")


def _note(row: dict[str, Any]) -> str:
    used = f"{', '.join(row['used'])} lies on it" if row["used"] else ""
    return "; ".join(part for part in (row.get("fault") or "", used) if part)


def _size(count: int) -> str:
    from harness.report.text import size

    return size(count)
