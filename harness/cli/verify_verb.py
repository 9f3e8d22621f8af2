"""harness verify"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("verify")
@common
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def command(common: Common, pytest_args: tuple[str, ...]) -> int:
    """Check what the run did. What stands behind `--` goes to pytest."""
    from harness.cli.scenario_verb import walk

    return walk(common, "verify", pytest_args=pytest_args)
