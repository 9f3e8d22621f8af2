"""What the self-test found, as a table for people and as files."""

from __future__ import annotations

from pathlib import Path

from harness.atomic import write_atomically
from harness.errors import HarnessError
from harness.models.selftest import Catch, MutantOutcome, SelftestReport
from harness.report.text import seconds

HEADER = ("mutant", "caught by", "what was seen")
EXPECTATIONS = "expected outcomes"
_WIDTH = 100


def rows(report: SelftestReport) -> list[list[str]]:
    """One line a mutant, under HEADER: what caught it, and what the first of these saw."""
    return [[mutant.name, _caught_by(mutant), _observation(mutant.catches)] for mutant in report.mutants]


def _caught_by(mutant: MutantOutcome) -> str:
    """The kinds of checks; those from a file of expectations are told as one."""
    kinds = [catch.check for catch in mutant.catches if not catch.expectation]
    if any(catch.expectation for catch in mutant.catches):
        kinds.append(EXPECTATIONS)
    return ", ".join(kinds) or "NOTHING"


def remarks(report: SelftestReport) -> list[str]:
    """What the table does not say."""
    caught = len(report.mutants) - len(report.survivors)
    free = sum(mutant.without_expectations for mutant in report.mutants)
    lines = [
        f"{caught} of {len(report.mutants)} mutants caught, {free} of them with no expected outcomes",
        f"{report.false_accusations} of {report.honest_runs} honest runs accused",
        f"{seconds(report.seconds)} in all, {seconds(report.building)} of it to build or find the mutants' stub",
    ]
    if report.survivors:
        lines.append(f"NOT CAUGHT: {', '.join(report.survivors)}")
    for one in report.accusations:
        told = "; ".join(f"{catch.host}: {catch.check}: {catch.observation}" for catch in one.catches[:3])
        lines.append(f"FALSELY ACCUSED: {one.scenario}, run {one.run}: {told}")
    return lines


def markdown(report: SelftestReport) -> str:
    """The table for a web page."""
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows(report)]
    return "\n".join([*lines, "", *(f"- {words}" for words in remarks(report)), ""])


def render(report: SelftestReport, form: str) -> str:
    """`form`: json or markdown."""
    return report.model_dump_json(indent=2) + "\n" if form == "json" else markdown(report)


def write(report: SelftestReport, path: Path, form: str) -> None:
    """Raises HarnessError when it cannot be written."""
    try:
        write_atomically(path, render(report, form))
    except OSError as error:
        raise HarnessError(
            f"cannot write the report {path}: {error.strerror}", hint="choose another file with --output"
        ) from error


def _observation(catches: list[Catch]) -> str:
    if not catches:
        return ""
    words = f"{catches[0].host}: {catches[0].observation}".removeprefix(": ")
    return words if len(words) <= _WIDTH else words[: _WIDTH - 3] + "..."
