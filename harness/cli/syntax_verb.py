"""harness syntax"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("syntax")
@common
@as_json
@passed_on
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Check a scenario's plan: everything that can be known to be wrong before anything is created."""
    from harness.cli.scenario_verb import walk

    return walk(common, "syntax", as_json=as_json, arguments=arguments)
