"""harness cleanup"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("cleanup")
@common
def command(common: Common) -> int:
    """Run the scenario's cleanup on its platforms."""
    from harness.cli.scenario_verb import walk

    return walk(common, "cleanup")
