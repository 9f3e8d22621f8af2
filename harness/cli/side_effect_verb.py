"""harness side-effect"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("side-effect")
@common
@as_json
@passed_on
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Run the scenario's side effects on its platforms."""
    from harness.cli.scenario_verb import walk

    return walk(common, "side_effect", as_json=as_json, arguments=arguments)
