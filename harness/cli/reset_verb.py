"""harness reset"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("reset")
@common
def command(common: Common) -> int:
    """Destroy a scenario's platforms, and forget its state and runs."""
    from harness.cli.scenario_verb import walk
    from harness.lifecycle.forget import forget
    from harness.lifecycle.several import choose, project_folder

    code = walk(common, "destroy")
    if code:
        return code
    selection = common.selection()
    for one in choose(selection, common.settings(project_folder(selection))):
        runs = forget(one.scenario)
        click.echo(f"{one.scenario.name}: forgotten, with {runs} run{'s' if runs != 1 else ''}")
    return 0
