"""harness dependency"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common


@click.command("dependency")
@common
@as_json
def command(common: Common, as_json: bool) -> int:
    """Fetch the roles and collections that a scenario's playbooks need; a binary needs none."""
    from harness.cli.scenario_verb import walk

    return walk(common, "dependency", as_json=as_json)
