"""harness create"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("create")
@common
@as_json
@passed_on
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Create the platforms of a scenario, prepare them, and keep them until `destroy`."""
    from harness.cli.scenario_verb import walk

    return walk(common, "create", as_json=as_json, arguments=arguments)
