"""harness schema scenario|settings"""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("which", type=click.Choice(["scenario", "settings"]))
def command(which: str) -> None:
    """Print the JSON schema of molecule.yml or harness.toml, for editors."""
    import json

    from harness.scenario.json_schema import scenario_schema, settings_schema

    schema = scenario_schema() if which == "scenario" else settings_schema()
    click.echo(json.dumps(schema, indent=2, ensure_ascii=False))
