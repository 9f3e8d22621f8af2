"""harness converge"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("converge")
@common
@as_json
@passed_on
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Compile the plan and run it on every platform; what is missing is created and prepared first."""
    from harness.cli.scenario_verb import walk

    return walk(common, "converge", as_json=as_json, arguments=arguments)
