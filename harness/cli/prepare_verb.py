"""harness prepare"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, passed_on


@click.command("prepare")
@common
@click.option("-f", "--force", is_flag=True, help="Again, even if it has been done.")
@passed_on
def command(common: Common, force: bool, arguments: tuple[str, ...]) -> int:
    """Bring created platforms into the state the plan starts from; once for each creation."""
    from harness.cli.scenario_verb import walk

    return walk(common, "prepare", force=force, arguments=arguments)
