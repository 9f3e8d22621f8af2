"""harness check"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("check")
@common
def command(common: Common) -> int:
    """Say what converge would change: the runner's dry run, on platforms of its own."""
    from harness.cli.scenario_verb import walk

    return walk(common, "check")
