"""harness matrix"""

from __future__ import annotations

import click

from harness.cli.options import Common, common


@click.command("matrix")
@common
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("verb", metavar="VERB")
def command(common: Common, as_json: bool, verb: str) -> int:
    """Show the steps that VERB (test, converge, ...) walks when nothing exists yet."""
    import json

    from harness.errors import UsageError
    from harness.lifecycle.sequence import steps_of
    from harness.lifecycle.several import choose, project_folder

    selection = common.selection()
    chosen = choose(selection, common.settings(project_folder(selection)))
    name = verb.replace("-", "_")
    for one in chosen:
        if name not in one.scenario.sequences:
            raise UsageError(f"{verb!r} walks no steps", hint=f"these do: {', '.join(sorted(one.scenario.sequences))}")
    steps = {one.scenario.name: steps_of(one.scenario, name) for one in chosen}
    if as_json:
        click.echo(json.dumps(steps, indent=2))
        return 0
    for scenario, walked in steps.items():
        click.echo(scenario)
        for step in walked:
            click.echo(f"  {step}")
    return 0
