"""harness compare"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import completion
from harness.cli.options import REPORT_FILE, Common, common

if TYPE_CHECKING:
    from harness.models.compare import CompareReport
    from harness.report.files import Format


@click.command("compare")
@common
@click.option("--compilers", metavar="A,B[,...]", help="The plan by each of these compilers.")
@click.option("--strategies", metavar="A,B[,...]", help="By each of these strategies: binary-only, force-ssh, ...")
@click.option("--sides", metavar="A,B[,...]", help="By these of the scenario's own `compare: {sides: ...}`.")
@click.option("--control", is_flag=True, help="Run the first side twice: where it differs from itself others may.")
@click.option(
    "--fixture",
    metavar="NAME",
    shell_complete=completion.fixtures,
    help="A fixture, one platform for each host of its plan.",
)
@click.option("--report-format", type=click.Choice(["json", "html", "junit"]), help="Write a report, too.")
@click.option("--output", type=REPORT_FILE, metavar="FILE", help="Where; stdout unless given.")
def command(
    common: Common,
    compilers: str | None,
    strategies: str | None,
    sides: str | None,
    control: bool,
    fixture: str | None,
    report_format: Format | None,
    output: Path | None,
) -> int:
    """Run the same plan in several ways on identical fresh platforms, and show where they are not alike.

    Each side is compared with the first, task by task and machine by machine; all of the scenario's own sides where
    none are named. Exit status: 0 alike, 1 they differ, 2 error, 3 no task ran on either side, 130 interrupted.
    """
    from harness.compare.run import compare
    from harness.compare.ways import Asked, ways_of
    from harness.errors import UsageError
    from harness.lifecycle.several import choose_one, project_folder
    from harness.report.compare import render, write
    from harness.report.files import format_of

    if common.checks is not None:
        raise UsageError("--checks has no place here: a side is judged by the other")
    if output is not None and report_format is None:
        report_format = format_of(output)
    selection = common.selection(fixture=fixture)
    settings = common.settings(project_folder(selection))
    scenario = choose_one(selection, settings)
    ways = ways_of(scenario, Asked(_names(compilers), _names(strategies), _names(sides)))
    report = compare(scenario, ways, common.run_options(settings), common.observer(stderr=True), control=control)
    if output is None and report_format is not None:
        click.echo(render(report, report_format), nl=False)
    else:
        _show(report, everything=common.verbose > 0)
    if output is not None and report_format is not None:
        write(report, output, report_format)
    return {"same": 0, "different": 1, "error": 2, "nothing": 3}[report.verdict]


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _show(report: CompareReport, *, everything: bool) -> None:
    from harness.report.compare import lines
    from harness.report.text import printable

    colours = {"good": "green", "bad": "red", "warn": "yellow"}
    for style, words in lines(report, everything=everything):
        click.secho(printable(words), fg=colours.get(style), bold=style == "bold" or None, dim=style == "dim" or None)
