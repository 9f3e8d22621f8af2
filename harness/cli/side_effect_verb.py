"""harness side-effect"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("side-effect")
@common
def command(common: Common) -> int:
    """Run the scenario's side effects on its platforms."""
    from harness.cli.scenario_verb import walk

    return walk(common, "side_effect")
