"""harness verify"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("verify")
@common
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(common: Common, arguments: tuple[str, ...]) -> int:
    """Check what the run did. What stands behind `--` goes to the verifier: pytest or ansible-playbook."""
    from harness.cli.scenario_verb import walk

    return walk(common, "verify", arguments=arguments)
