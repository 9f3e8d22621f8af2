"""`harness drivers`: what there is, what each can do, and what keeps it from working here."""

from __future__ import annotations

import json

import click


@click.command(name="drivers", help="List drivers and what they can do.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(as_json: bool) -> None:
    from harness import registry
    from harness.errors import HarnessError, Problem

    rows = []
    for name in registry.names(registry.DRIVERS):
        try:
            driver = registry.driver(name)
            capabilities = sorted(capability.value for capability in driver.capabilities)
            problems = driver.diagnose()
        except HarnessError as error:
            capabilities, problems = [], [Problem("", error.message, error.hint)]
        rows.append((name, capabilities, problems))
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "name": name,
                        "capabilities": capabilities,
                        "problems": [{"message": one.message, "hint": one.hint} for one in problems],
                    }
                    for name, capabilities, problems in rows
                ],
                indent=2,
            )
        )
        return
    for name, capabilities, problems in rows:
        click.secho(f"{name:<10}", bold=True, nl=False)
        click.secho(f" {'works here' if not problems else 'has problems'}", fg="green" if not problems else "yellow")
        if capabilities:
            click.echo(f"           {', '.join(capabilities)}")
        for one in problems:
            click.echo(f"           {one.message}")
            if one.hint:
                click.echo(f"             {one.hint}")
