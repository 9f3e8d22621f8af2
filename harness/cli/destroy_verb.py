"""harness destroy"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from harness.cli.options import Common, as_json, common

if TYPE_CHECKING:
    from harness.drivers.base import InstanceRecord


@click.command("destroy")
@common
@as_json
@click.option("--orphans", is_flag=True, help="What dead runs left, of all projects; nothing else is touched.")
def command(common: Common, as_json: bool, orphans: bool) -> int:
    """Destroy a scenario's platforms, or orphans of dead runs."""
    from harness.cli.outcome import show
    from harness.cli.scenario_verb import walk
    from harness.errors import HarnessError, UsageError
    from harness.lifecycle.forgotten import destroy_forgotten

    if orphans and as_json:
        raise UsageError(
            "--orphans and --json exclude one another", hint="`harness list --live --json` tells of orphans"
        )
    if orphans:
        return _orphans()
    try:
        return walk(common, "destroy", as_json=as_json)
    except HarnessError as error:
        # A scenario whose file has gone or is broken may still have platforms: they carry its name.
        patterns = ("*",) if common.everything else common.scenario_names or ("default",)
        destroyed = destroy_forgotten(patterns, common.platforms, partial(_tell, err=as_json))
        if not destroyed:
            raise
        show(error)
        if as_json:
            click.echo("[]")  # no scenario, no run, no report
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


def _tell(record: InstanceRecord, why: str, *, err: bool = False) -> None:
    click.echo(
        f"destroyed {record.platform} of {record.scenario} in {record.project} ({record.driver}): {why}", err=err
    )
