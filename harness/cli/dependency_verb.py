"""harness dependency"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("dependency")
@common
def command(common: Common) -> int:
    """Fetch the roles and collections that a scenario's playbooks need; a binary needs none."""
    from harness.cli.scenario_verb import walk

    return walk(common, "dependency")
