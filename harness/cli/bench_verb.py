"""harness bench"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import REPORT_FILE, Common, common

if TYPE_CHECKING:
    from harness.measure.ground import Ground
    from harness.models.bench import BenchReport

_BASELINES = ("ansible", "ansible-pipelined", "mitogen", "pyinfra")


@click.command("bench")
@common
@click.option(
    "--against",
    multiple=True,
    metavar="BASELINE",
    help=f"{', '.join(_BASELINES)}; may be repeated, or separated by commas. ansible-pipelined unless given.",
)
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, metavar="N", help="Runs of each.")
@click.option(
    "--hosts",
    metavar="N[,N...]",
    help="Only the first N platforms; several numbers: several rounds.",
)
@click.option("--cold", is_flag=True, help="Compile once with an empty cache, too; takes minutes.")
@click.option("--no-count", is_flag=True, help="Do not count bytes and round trips in a run of their own.")
@click.option("--no-verify", is_flag=True, help="Do not let the scenario's tests look at the platforms.")
@click.option("--report-format", type=click.Choice(["json", "markdown"]), help="Write a report, too.")
@click.option("--output", type=REPORT_FILE, metavar="FILE", help="Where; stdout unless given.")
def command(
    common: Common,
    against: tuple[str, ...],
    repeat: int,
    hosts: str | None,
    cold: bool,
    no_count: bool,
    no_verify: bool,
    report_format: str | None,
    output: Path | None,
) -> int:
    """Run a scenario's plan by binary and by others, in turn on the same fresh platforms, and say what each costs.

    The platforms need `connection: ssh`. Exit status: 0, or 1 where two did not do the same work.
    """
    from harness.measure.bench import BenchOptions, bench
    from harness.report import bench as report_file

    ground = _ground(common)
    options = BenchOptions(
        against=_names(against),
        repeat=repeat,
        hosts=_numbers(hosts, len(ground.platforms)),
        cold=cold,
        count=not no_count,
        verify=not no_verify,
        tell=lambda words: click.echo(words, err=True),
    )
    report = bench(ground, options)
    if output is not None:
        report_file.write(report, output, report_format or ("json" if output.suffix == ".json" else "markdown"))
    if report_format is not None and output is None:
        text = (
            report.model_dump_json(indent=2, by_alias=True) if report_format == "json" else report_file.markdown(report)
        )
        click.echo(text)
    else:
        _show(report)
    return 0 if all(one.same_work for round_ in report.rounds for one in round_.comparisons) else 1


def _ground(common: Common) -> Ground:
    from harness.lifecycle.events import Silent
    from harness.lifecycle.several import choose_one, project_folder
    from harness.measure.ground import Ground

    selection = common.selection()
    settings = common.settings(project_folder(selection))
    scenario = choose_one(selection, settings)
    arguments = ["-s", scenario.name, *(["-d", common.driver] if common.driver else [])]
    for file in common.base_configs:
        arguments += ["-c", str(file)]
    if common.env_file is not None:
        arguments += ["--env-file", str(common.env_file)]
    observer = common.observer(stderr=True) if common.verbose or common.debug else Silent()
    return Ground(scenario, common.run_options(settings), observer, tuple(arguments))


def _names(against: tuple[str, ...]) -> tuple[str, ...]:
    from harness.errors import UsageError
    from harness.measure.bench import BASELINES
    from harness.models.problems import unknown

    names = tuple(name.strip() for text in against for name in text.split(",") if name.strip())
    for name in names:
        if name not in BASELINES:
            raise UsageError(unknown(name, list(BASELINES), what=f"there is no baseline {name!r}"))
    return names or ("ansible-pipelined",)


def _numbers(text: str | None, most: int) -> tuple[int, ...]:
    from harness.errors import UsageError
    from harness.report.text import plural

    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise UsageError(f"--hosts takes numbers such as 1,4,10, not {text!r}")
    numbers = tuple(dict.fromkeys(int(part) for part in parts))
    if max(numbers) > most:
        raise UsageError(f"the scenario has {plural(most, 'platform')}, fewer than {max(numbers)}")
    return numbers


def _show(report: BenchReport) -> None:
    import sys

    from harness.cli.table import table
    from harness.report.bench import HEADER, remarks, rows

    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        shown = Table(*HEADER)
        for line in rows(report):
            shown.add_row(*line)
        Console().print(shown)
    else:
        click.echo(table(HEADER, rows(report)))
    for words in remarks(report):
        click.echo(words)
