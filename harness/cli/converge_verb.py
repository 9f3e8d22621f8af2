"""harness converge"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("converge")
@common
def command(common: Common) -> int:
    """Compile the plan and run it on every platform; what is missing is created and prepared first."""
    from harness.cli.scenario_verb import walk

    return walk(common, "converge")
