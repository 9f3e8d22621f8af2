"""harness side-effect"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("side-effect")
@common
@passed_on
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Run the scenario's side effects on its platforms."""
    from harness.cli.scenario_verb import walk

    return walk(common, "side_effect", arguments=arguments)
