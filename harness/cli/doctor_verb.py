"""harness doctor"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from harness.cli.options import Common, common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.errors import Problem
    from harness.lifecycle.doctor import Diagnosis, Finding
    from harness.scenario import Settings


@click.command("doctor")
@common
@click.option("--settings", "show_settings", is_flag=True, help="Each setting, its value and where it comes from.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(common: Common, show_settings: bool, as_json: bool) -> int:
    """Say what this machine can do, and what is missing. Exit status 0 when the embedded default works, else 2."""
    from harness.lifecycle.several import project_or_here

    if show_settings:
        return _settings(common.settings(project_or_here()), as_json)
    from harness.lifecycle.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        click.echo(json.dumps(_to_json(diagnosis), indent=2))
    else:
        _tell(diagnosis)
    return 0 if diagnosis.usable else 2


def _settings(settings: Settings, as_json: bool) -> int:
    from harness.cli.table import table

    rows = settings.rows()
    if as_json:
        names = ("name", "value", "origin")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(table(("Setting", "Value", "From"), rows))
    return 0


def _tell(diagnosis: Diagnosis) -> None:
    for finding in diagnosis.findings:
        mark, colour = ("ok", "green") if finding.works else ("no", "red")
        click.secho(f"{mark:<4}", fg=colour, nl=False)
        click.echo(f"{finding.kind} {finding.name}  {finding.detail}".rstrip())
        for problem in (*finding.problems, *finding.limits):
            click.echo(f"      {problem}")
            if problem.hint:
                click.echo(f"        {problem.hint}")
    for name, version in diagnosis.versions.items():
        click.echo(f"    {name} {version}")
    click.echo(f"    cache {diagnosis.cache}")
    driver, compiler = diagnosis.default
    if diagnosis.usable:
        click.secho(f"The embedded default ({driver}, {compiler}) works here.", fg="green")
    else:
        click.secho(f"The embedded default ({driver}, {compiler}) does not work here; see above.", fg="red")


def _to_json(diagnosis: Diagnosis) -> dict[str, object]:
    def one(finding: Finding) -> dict[str, object]:
        def told(found: Sequence[Problem]) -> list[dict[str, str | None]]:
            return [{"where": p.where, "message": p.message, "hint": p.hint} for p in found]

        return {
            "kind": finding.kind,
            "name": finding.name,
            "works": finding.works,
            "detail": finding.detail,
            "problems": told(finding.problems),
            "limits": told(finding.limits),
        }

    return {
        "usable": diagnosis.usable,
        "findings": [one(finding) for finding in diagnosis.findings],
        "versions": diagnosis.versions,
        "cache": diagnosis.cache,
    }
