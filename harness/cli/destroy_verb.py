"""harness destroy"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.options import Common, common

if TYPE_CHECKING:
    from harness.drivers.base import InstanceRecord


@click.command("destroy")
@common
@click.option("--orphans", is_flag=True, help="What dead runs left, of all projects; nothing else is touched.")
def command(common: Common, orphans: bool) -> int:
    """Destroy a scenario's platforms, or orphans of dead runs."""
    if orphans:
        return _orphans()
    from harness.cli.outcome import show
    from harness.cli.scenario_verb import walk
    from harness.errors import HarnessError
    from harness.lifecycle.forgotten import destroy_forgotten

    try:
        return walk(common, "destroy")
    except HarnessError as error:
        # A scenario whose file has gone or is broken may still have platforms: they carry its name.
        patterns = ("*",) if common.everything else common.scenario_names or ("default",)
        destroyed = destroy_forgotten(patterns, common.platforms, _tell)
        if not destroyed:
            raise
        show(error)
        return 0


def _orphans() -> int:
    from harness.lifecycle.orphans import destroy_orphans
    from harness.lifecycle.several import project_or_here
    from harness.lifecycle.workspace import Workspace

    reaped = destroy_orphans(Workspace.of(project_or_here()), _tell)
    for line in reaped.snapshots:
        click.echo(f"removed the snapshot {line}")
    if not reaped.removed and not reaped.snapshots and not reaped.failed:
        click.echo("no orphans")
    for line in reaped.unasked:
        click.echo(f"not asked: {line}", err=True)
    for line in reaped.failed:
        click.secho(f"error: {line}", fg="red", err=True)
    return 2 if reaped.failed else 0


def _tell(record: InstanceRecord, why: str) -> None:
    click.echo(f"destroyed {record.platform} of {record.scenario} in {record.project} ({record.driver}): {why}")
