"""What a benchmark found, as a table for people and as files."""

from __future__ import annotations

from pathlib import Path

from harness.atomic import write_atomically
from harness.errors import HarnessError
from harness.models.bench import BenchReport, BenchRound, Contestant, Spread
from harness.report.text import plural, seconds, size

HEADER = ("hosts", "by", "wall (a)", "process (b)", "CPU", "bytes", "trips", "factor (a)", "with compile", "factor (b)")


def rows(report: BenchReport) -> list[list[str]]:
    """One line a contestant and round, under HEADER."""
    return [line for one in report.rounds for line in _rows(one)]


def _rows(one: BenchRound) -> list[list[str]]:
    factors = {comparison.baseline: comparison for comparison in one.comparisons}
    found = []
    for contestant in one.contestants:
        comparison = factors.get(contestant.name)
        passage = contestant.passage
        found.append(
            [
                str(one.hosts),
                contestant.name + ("" if comparison is None or comparison.same_work else " (not the same work)"),
                spread(contestant.wall),
                spread(contestant.process),
                seconds(contestant.cpu.median),
                size(passage.bytes_up + passage.bytes_down) if passage else "-",
                str(passage.round_trips) if passage else "-",
                f"{comparison.improvement_factor:.1f}x" if comparison else "",
                f"{comparison.with_warm_compile:.1f}x" if comparison else "",
                f"{comparison.whole_process:.1f}x" if comparison else "",
            ]
        )
    return found


def spread(value: Spread) -> str:
    """`1.62 s (1.58 s - 1.70 s)`."""
    return f"{seconds(value.median)} ({seconds(value.minimum)} - {seconds(value.maximum)})"


def remarks(report: BenchReport) -> list[str]:
    """What the table does not say."""
    ours: Contestant = report.rounds[-1].contestants[0]
    machine = f"{plural(report.processors, 'processor')}, {report.system}"
    done = f"{plural(report.tasks, 'task')}, {plural(report.repeat, 'repeat')}"
    lines = [
        f"{done} in turn on fresh platforms; median (least - most); {machine}",
        "(a) from the first connection to the last host's result, without compiling; (b) the whole process",
    ]
    if ours.compile_warm is not None:
        cold = f", {seconds(ours.compile_cold)} with an empty cache" if ours.compile_cold is not None else ""
        lines.append(f"compile: {seconds(ours.compile_warm.median)} with a warm cache{cold}")
    lines += [f"left out: {words}" for words in report.left_out]
    differences = [words for one in report.rounds for comparison in one.comparisons for words in comparison.differences]
    return [*lines, *dict.fromkeys(f"not the same work: {words}" for words in differences)]


def markdown(report: BenchReport) -> str:
    """For a page of documentation."""
    lines = ["| " + " | ".join(line) + " |" for line in [HEADER, ["---"] * len(HEADER), *rows(report)]]
    return "\n".join([*lines, "", *(f"- {words}" for words in remarks(report))]) + "\n"


def text(report: BenchReport, form: str) -> str:
    """`json` or `markdown`."""
    return report.model_dump_json(indent=2, by_alias=True) + "\n" if form == "json" else markdown(report)


def write(report: BenchReport, path: Path, form: str) -> None:
    """Raises HarnessError where it cannot be written."""
    try:
        write_atomically(path, text(report, form))
    except OSError as error:
        raise HarnessError(
            f"cannot write the report {path}: {error.strerror or error}", hint="choose another file with --output"
        ) from error
