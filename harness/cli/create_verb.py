"""harness create"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("create")
@common
def command(common: Common) -> int:
    """Create the platforms of a scenario, prepare them, and keep them until `destroy`."""
    from harness.cli.scenario_verb import walk

    return walk(common, "create")
