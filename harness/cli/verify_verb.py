"""harness verify"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common


@click.command("verify")
@common
@as_json
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(common: Common, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Check what the run did. What stands behind `--` goes to the verifier: pytest or ansible-playbook."""
    from harness.cli.scenario_verb import walk

    return walk(common, "verify", as_json=as_json, arguments=arguments)
