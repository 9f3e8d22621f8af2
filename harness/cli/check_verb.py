"""harness check"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("check")
@common
@as_json
@passed_on
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Say what converge would change: the runner's dry run, on platforms of its own."""
    from harness.cli.scenario_verb import walk

    return walk(common, "check", as_json=as_json, arguments=arguments)
