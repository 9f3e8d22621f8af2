"""harness syntax"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("syntax")
@common
@passed_on
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Check a scenario's plan: everything that can be known to be wrong before anything is created."""
    from harness.cli.scenario_verb import walk

    return walk(common, "syntax", arguments=arguments)
