"""harness check"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("check")
@common
@passed_on
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Say what converge would change: the runner's dry run, on platforms of its own."""
    from harness.cli.scenario_verb import walk

    return walk(common, "check", arguments=arguments)
