"""harness list"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.options import Common, common


@click.command("list")
@common
@click.option("--live", is_flag=True, help="Ask the real systems: everything of ours, of all projects.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(common: Common, live: bool, as_json: bool) -> int:
    """List scenarios, platforms and their state."""
    return _live(as_json) if live else _journal(common, as_json)


def _journal(common: Common, as_json: bool) -> int:
    from harness.cli.outcome import show
    from harness.cli.table import table
    from harness.errors import InvalidInput
    from harness.lifecycle.inventory import list_scenarios_platforms
    from harness.scenario import find_project, load_scenario, select_scenarios

    project = find_project(Path.cwd())
    settings = common.settings(project)
    everything = common.everything or not common.scenario_names
    names = select_scenarios(project, common.scenario_names, everything=everything, exclude=common.exclude)
    scenarios, broken = [], []
    for name in names:
        try:
            scenarios.append(load_scenario(project, name, settings=settings, overrides=common.selection().overrides))
        except InvalidInput as error:
            broken.append(error)
    rows = list_scenarios_platforms(project, scenarios)
    if common.platforms:
        rows = [row for row in rows if row.instance in common.platforms]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        header: tuple[str, ...] = ("Instance Name", "Driver Name", "Provisioner Name", "Scenario Name")
        header += ("Created", "Converged")
        words = {True: "true", False: "false"}
        cells: list[tuple[str, ...]] = [
            (row.instance, row.driver, row.provisioner, row.scenario, words[row.created], words[row.converged])
            for row in rows
        ]
        if any(row.snapshot for row in rows):  # Molecule's columns, and one more only where it says something
            header += ("Snapshot",)
            cells = [(*cell, row.snapshot[:12]) for cell, row in zip(cells, rows, strict=True)]
        click.echo(table(header, cells))
    for fault in broken:
        show(fault)
    return 2 if broken else 0


def _live(as_json: bool) -> int:
    from harness.cli.table import table
    from harness.lifecycle.inventory import list_live

    unasked: list[str] = []
    rows = list_live(unasked)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    elif rows:
        header = ("Instance Name", "Driver Name", "Scenario Name", "Status", "Kept", "Project", "Note")
        cells = [
            (
                row.instance,
                row.driver,
                row.scenario,
                row.status,
                "true" if row.kept else "false",
                row.project,
                f"orphan: {row.orphan}" if row.orphan else "",
            )
            for row in rows
        ]
        click.echo(table(header, cells))
    else:
        click.echo("nothing of ours exists")
    for line in unasked:
        click.echo(f"not asked: {line}", err=True)
    return 0
