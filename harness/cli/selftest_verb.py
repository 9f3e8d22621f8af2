"""harness selftest"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import REPORT_FILE

if TYPE_CHECKING:
    from harness.models.selftest import SelftestReport


@click.command("selftest")
@click.option(
    "--mutant", "names", multiple=True, metavar="NAME", help="Only this one, and no honest run; may be repeated."
)
@click.option("--list", "listing", is_flag=True, help="Name all mutants, and run none.")
@click.option(
    "--honest",
    type=click.IntRange(0),
    default=None,
    metavar="N",
    help="Runs of the honest runner. [default: 100; 0 with --mutant]",
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Runs at once. [default: two for each processor]")
@click.option("--report-format", type=click.Choice(["json", "markdown"]), help="Write a report, too.")
@click.option("--output", type=REPORT_FILE, metavar="FILE", help="Where; stdout unless given.")
def command(
    names: tuple[str, ...],
    listing: bool,
    honest: int | None,
    workers: int | None,
    report_format: str | None,
    output: Path | None,
) -> int:
    """Run plans by runners that are wrong on purpose, and say which check caught each.

    The honest runner runs as well, and must not be accused. Needs cargo and the native driver.
    Exit status: 0, or 1 where a mutant was not caught or the honest runner was accused.
    """
    from harness.report import selftest as report_file
    from harness.selftest.catalogue import chosen

    mutants = chosen(names)
    if listing:
        from harness.cli.table import table

        click.echo(table(("mutant", "what it does wrong"), [[mutant.name, mutant.what] for mutant in mutants]))
        return 0
    from harness.selftest.run import SelftestOptions, selftest

    defaults = SelftestOptions()
    report = selftest(
        SelftestOptions(
            mutants=mutants,
            honest=honest if honest is not None else 0 if names else defaults.honest,
            workers=workers or defaults.workers,
            tell=lambda words: click.echo(words, err=True),
        )
    )
    form = report_format or ("markdown" if output is not None and output.suffix == ".md" else "json")
    if report_format is not None and output is None:
        click.echo(report_file.render(report, form), nl=False)
    else:
        _show(report)
    if output is not None:
        report_file.write(report, output, form)
    return 0 if report.passed else 1


def _show(report: SelftestReport) -> None:
    from harness.cli.table import table
    from harness.report.selftest import HEADER, remarks, rows

    click.echo(table(HEADER, rows(report)))
    for words in remarks(report):
        click.echo(words)
