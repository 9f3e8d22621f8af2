"""harness idempotence"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("idempotence")
@common
@passed_on
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Converge again: no task may change anything, and nothing on the hosts may differ afterwards."""
    from harness.cli.scenario_verb import walk

    return walk(common, "idempotence", arguments=arguments)
