"""harness dependency"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("dependency")
@common
def command(common: Common) -> int:
    """Nothing, for Molecule's sake: a binary needs no roles or collections."""
    from harness.cli.scenario_verb import walk

    return walk(common, "dependency")
