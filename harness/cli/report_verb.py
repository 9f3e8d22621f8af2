"""harness report"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import completion
from harness.cli.options import REPORT_FILE, globbed, report_files

if TYPE_CHECKING:
    from harness.models.results import TestReport
    from harness.report.files import Format

_ENDINGS = ("cleanup", "destroy")
"""Verbs whose runs are shown only by their names: what came before them is what one wants to see."""


@click.command("report")
@report_files
@click.option(
    "-s", "--scenario-name", "names", multiple=True, metavar="NAME", shell_complete=completion.scenarios,
    help="The last run of this scenario, by name or glob; may be repeated.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="The last run of each scenario.")
@click.option("--run", metavar="RUN", help="This run; `harness trends` lists them.")
@click.option("--report-format", type=click.Choice(["json", "html", "junit"]), help="Write a report instead.")
@click.option("--output", type=REPORT_FILE, metavar="FILE", help="Where; stdout unless given.")
@click.option("-v", "--verbose", count=True, help="Each task, too.")
def command(
    files: tuple[Path, ...],
    names: tuple[str, ...],
    everything: bool,
    run: str | None,
    report_format: Format | None,
    output: Path | None,
    verbose: int,
) -> int:
    """Show a run again, or write its report: the project's last, those of scenarios, or JSON reports from files.

    The last run of destroy or cleanup is shown only with --run. Exit status: 0 whatever the runs came to.
    """
    from harness.cli.scenario_verb import write
    from harness.errors import UsageError
    from harness.report.files import format_of, read_reports

    _check_together(files, names, everything, run)
    reports = [one for file in files for one in read_reports(file)] if files else _kept(names, everything, run)
    if output is not None and report_format is None:
        report_format = format_of(output)
    if report_format is None:
        if not reports:
            raise UsageError(f"there is no report in {', '.join(map(str, files))}")
        for report in reports:
            _show(report, verbose)
    else:
        write(reports, report_format, output, many=len(files) > 1 or everything or globbed(names))
    return 0


def _check_together(files: tuple[Path, ...], names: tuple[str, ...], everything: bool, run: str | None) -> None:
    from harness.errors import UsageError

    wanted = {"FILE": bool(files), "-s": bool(names), "--all": everything, "--run": run is not None}
    given = [name for name, there in wanted.items() if there]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude one another", hint="give one of them")


def _kept(names: tuple[str, ...], everything: bool, run: str | None) -> list[TestReport]:
    from harness.errors import UsageError
    from harness.lifecycle.saved import last_of_each, saved_reports
    from harness.lifecycle.several import project_or_here

    reports = saved_reports(project_or_here())
    if run is not None:
        found = [report for report in reports if report.run == run]
        if not found:
            raise UsageError(f"no run {run} has left a report here", hint="harness trends lists the runs")
        return found
    lasting = (report for report in reports if report.verb not in _ENDINGS)
    if names or everything:
        return last_of_each(lasting, names or ("*",))
    last = next(lasting, None)
    if last is None:
        raise UsageError("no run has left a report here", hint="harness test makes one")
    return [last]


def _show(report: TestReport, verbose: int) -> None:
    from harness.cli.table import table
    from harness.report.console import ConsoleObserver
    from harness.report.findings import hosts, scenario_of, task_status
    from harness.report.text import printable, seconds

    scenario = scenario_of(report)
    observer = ConsoleObserver(verbosity=verbose)
    observer.run_started(scenario, report.run, ())
    for step in report.steps:
        observer.step_ended(scenario, step)
    rows = [
        (
            host.host,
            task.name or task.task_id,
            task.module,
            task_status(report, host.host, task),
            seconds(task.execution_time),
        )
        for host in hosts(report)
        for task in host.task_results
    ]
    if verbose and rows:
        click.echo()
        click.echo(printable(table(("Host", "Task", "Module", "Result", "Took"), rows)))
    observer.run_ended(scenario, report)
