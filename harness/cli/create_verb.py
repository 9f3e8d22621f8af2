"""harness create"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("create")
@common
@passed_on
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Create the platforms of a scenario, prepare them, and keep them until `destroy`."""
    from harness.cli.scenario_verb import walk

    return walk(common, "create", arguments=arguments)
