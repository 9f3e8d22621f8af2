"""harness converge"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("converge")
@common
@passed_on
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Compile the plan and run it on every platform; what is missing is created and prepared first."""
    from harness.cli.scenario_verb import walk

    return walk(common, "converge", arguments=arguments)
