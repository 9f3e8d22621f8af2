"""harness idempotence"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("idempotence")
@common
@as_json
@passed_on
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Converge again: no task may change anything, and nothing on the hosts may differ afterwards."""
    from harness.cli.scenario_verb import walk

    return walk(common, "idempotence", as_json=as_json, arguments=arguments)
