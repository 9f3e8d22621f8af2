"""What the verbs that walk a scenario's sequence have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import Common
from harness.cli.outcome import show

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.lifecycle.several import Chosen, Verdict
    from harness.models.results import TestReport
    from harness.report.files import Format


def walk(
    common: Common, verb: str, *, as_json: bool = False, chosen: Sequence[Chosen] | None = None, **options: Any
) -> int:
    """Walk `verb` on every scenario asked for, or on those `chosen` among them; returns the exit status."""
    from harness.lifecycle.several import choose, overall, perform_all, project_folder

    selection = common.selection()
    settings = common.settings(project_folder(selection))
    verdicts = perform_all(
        choose(selection, settings) if chosen is None else chosen,
        verb,
        common.run_options(settings, **options),
        common.observer(stderr=as_json),
        on_error=show,
        on_skip=tell_skipped,
    )
    if as_json:
        write([verdict.report for verdict in verdicts if verdict.report is not None], "json", None, many=common.many)
    summarise(verdicts, err=as_json)
    return overall(verdicts)


def write(reports: Sequence[TestReport], report_format: Format, output: Path | None, *, many: bool) -> None:
    """To the file, or to stdout where there is none."""
    from harness.report.files import render, write_report

    if output is None:
        click.echo(render(reports, report_format, many=many), nl=False)
    else:
        write_report(reports, report_format, output, many=many)


def tell_skipped(scenario: str, reason: str) -> None:
    head, *rest = reason.splitlines()
    click.echo(f"{scenario}: skipped: {' '.join(line.strip() for line in rest) or head}", err=True)


def summarise(verdicts: list[Verdict], *, err: bool = False) -> None:
    """One line a scenario, when there were several."""
    if len(verdicts) < 2:
        return
    width = max(len(verdict.scenario) for verdict in verdicts)
    for verdict in verdicts:
        word = "skipped" if verdict.skipped else verdict.code.words
        reason = f"  {verdict.reason.splitlines()[0]}" if verdict.reason else ""
        click.echo(f"{verdict.scenario:<{width}}  {word}{reason}", err=err)
