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

    selection = common.selection()
    chosen = choose(selection, common.settings(project_folder(selection)))
    names = {one.scenario.name for one in chosen}
    # What another scenario has made for all of them is not a guest's to destroy.
    guests = [one for one in chosen if one.host is not None and one.host.name not in names]
    own = [one for one in chosen if one not in guests]
    if own and (code := walk(common, "destroy", chosen=own)):
        return code
    for one in chosen:
        runs = forget(one.scenario, shared=one in guests)
        told = f"{one.scenario.name}: forgotten, with {runs} run{'s' if runs != 1 else ''}"
        if one in guests and one.host is not None:
            told += f"; the platforms are those of {one.host.name}, and stay"
        click.echo(told)
    return 0
