"""harness cleanup"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("cleanup")
@common
@as_json
@passed_on
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Run the scenario's cleanup on its platforms."""
    from harness.cli.scenario_verb import walk

    return walk(common, "cleanup", as_json=as_json, arguments=arguments)
