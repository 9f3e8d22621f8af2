"""harness prepare"""

from __future__ import annotations

import click

from harness.cli.options import Common, as_json, common, passed_on


@click.command("prepare")
@common
@click.option("-f", "--force", is_flag=True, help="Again, even if it has been done.")
@as_json
@passed_on
def command(common: Common, force: bool, as_json: bool, arguments: tuple[str, ...]) -> int:
    """Bring created platforms into the state the plan starts from; once for each creation."""
    from harness.cli.scenario_verb import walk

    return walk(common, "prepare", force=force, as_json=as_json, arguments=arguments)
