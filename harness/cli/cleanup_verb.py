"""harness cleanup"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("cleanup")
@common
@passed_on
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Run the scenario's cleanup on its platforms."""
    from harness.cli.scenario_verb import walk

    return walk(common, "cleanup", arguments=arguments)
