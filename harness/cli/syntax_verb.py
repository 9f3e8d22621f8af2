"""harness syntax"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("syntax")
@common
def command(common: Common) -> int:
    """Check a scenario's plan: everything that can be known to be wrong before anything is created."""
    from harness.cli.scenario_verb import walk

    return walk(common, "syntax")
