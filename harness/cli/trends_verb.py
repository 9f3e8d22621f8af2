"""harness trends"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import completion
from harness.cli.options import report_files

if TYPE_CHECKING:
    from harness.measure.trends import RunFigures, Trend
    from harness.models.results import TestReport

_COLUMNS = ("run", "plan", "binary", "improvement factor")
_HEADER = ("Run", "Started (UTC)", "Result", "Took", "Plan", "Binary", "Improvement")


@click.command("trends")
@report_files
@click.option(
    "-s", "--scenario-name", "names", multiple=True, metavar="NAME", shell_complete=completion.scenarios,
    help="Scenario, by name or glob; may be repeated. All unless given.",
)  # fmt: skip
@click.option("--verb", default="test", show_default=True, metavar="VERB", help="Whose runs.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Newest runs of each.")
@click.option("--strict", is_flag=True, help="Exit with 1 when something is worse.")
@click.option("--json", "as_json", is_flag=True, help="For programs: each step's time, too.")
def command(files: tuple[Path, ...], names: tuple[str, ...], verb: str, last: int, strict: bool, as_json: bool) -> int:
    """Say what the runs of scenarios tell over time, and name what is worse in the newest than it was before.

    The runs are those that the project keeps, or the JSON reports in FILEs.
    """
    from harness.errors import UsageError
    from harness.measure.trends import trends

    found = trends(_reports(files, names, _known(verb)), most=last)
    if not found:
        of = f" of {', '.join(names)}" if names else ""
        raise UsageError(f"no run{of} by the verb {verb} has left a report here", hint=f"harness {verb} makes one")
    click.echo(_json(found) if as_json else "\n\n".join(_text(trend) for trend in found))
    return 1 if strict and any(trend.regressions for trend in found) else 0


def _known(verb: str) -> str:
    from harness.errors import UsageError
    from harness.models.problems import unknown
    from harness.scenario.sequences import DEFAULTS

    name = verb.replace("-", "_")
    if name not in DEFAULTS:
        raise UsageError(unknown(name, list(DEFAULTS), what=f"{verb!r} walks no steps, and leaves no report"))
    return name


def _reports(files: tuple[Path, ...], names: tuple[str, ...], verb: str) -> list[TestReport]:
    from fnmatch import fnmatchcase

    from harness.lifecycle.saved import saved_reports
    from harness.lifecycle.several import project_or_here
    from harness.report.files import read_reports

    reports = [one for file in files for one in read_reports(file)] if files else saved_reports(project_or_here())
    return [
        report
        for report in reports
        if (report.verb or "test") == verb  # one that was written without its verb is `harness test`'s
        and (not names or any(fnmatchcase(report.scenario, name) for name in names))
    ]


def _text(trend: Trend) -> str:
    from harness.cli.table import table
    from harness.report.text import printable

    lines = [trend.scenario, table(_HEADER, [_row(run) for run in trend.runs])]
    lines += [f"worse: {words}" for words in trend.regressions]
    return printable("\n".join(lines))


def _row(run: RunFigures) -> tuple[str, ...]:
    from datetime import UTC

    from harness.measure.trends import told

    figures = (told(name, run.figures[name]) if name in run.figures else "-" for name in _COLUMNS)
    return (run.run or "-", f"{run.started.astimezone(UTC):%Y-%m-%d %H:%M:%S}", run.verdict, *figures)


def _json(found: list[Trend]) -> str:
    import json
    from dataclasses import asdict
    from datetime import datetime

    return json.dumps([asdict(trend) for trend in found], indent=2, ensure_ascii=False, default=datetime.isoformat)
