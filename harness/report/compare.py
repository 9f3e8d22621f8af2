"""What a comparison found: lines for people, and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from pathlib import Path

from harness.atomic import write_atomically
from harness.errors import HarnessError
from harness.models.compare import CompareReport, Comparison, Difference
from harness.report.files import Format
from harness.report.text import plural, seconds

Line = tuple[str, str]
"""A style (`bold`, `dim`, `good`, `bad`, `warn` or none) and the words."""

ABSENT = "(none)"
_DETAIL_LINES = 20
_LEFT_OUT_LINES = 10
_VERDICTS = {
    "same": ("good", "ALIKE"),
    "different": ("bad", "DIFFERENT"),
    "error": ("bad", "ERROR"),
    "nothing": ("warn", "NOTHING RAN"),
}


def lines(report: CompareReport, *, everything: bool = False) -> Iterator[Line]:
    """For a terminal or a log. `everything`: what was allowed and left out one by one, and every task's times."""
    for side in report.sides:
        if side.error is not None:
            first, *more = side.error.splitlines()
            yield "bad", f"{side.name}: {first}"
            yield from (("", f"  {line}") for line in more)
    for comparison in report.comparisons:
        yield "bold", f"{report.scenario}: {comparison.first} | {comparison.second}"
        yield from _differences(comparison)
        yield "dim", f"  {_sums(comparison)}"
        if everything:
            yield from _the_rest(comparison)
    for host, why in report.broken.items():
        yield "bad", f"{host}: its run came to its end on no side: {why.splitlines()[0]}"
    for words in report.warnings:
        yield "warn", f"! {words}"
    style, word = _VERDICTS[report.verdict]
    took = ", ".join(f"{side.name} {seconds(side.seconds)}" for side in report.sides)
    yield style, f"{word}  {took}"


def _differences(comparison: Comparison) -> Iterator[Line]:
    for (host, kind, name), found in groupby(comparison.differences, key=lambda one: (one.host, one.kind, one.name)):
        yield "", f"  {host} · {kind} {name}"
        for one in found:
            if one.detail:
                yield "", f"      {one.field}"
                yield from (("", f"        {line}") for line in _cut(one.detail.splitlines(), _DETAIL_LINES))
            else:
                yield "", f"      {one.field:<10} {' | '.join(values(one))}"


def _the_rest(comparison: Comparison) -> Iterator[Line]:
    for allowed in comparison.allowed:
        yield "dim", f"  allowed: {in_words(allowed.difference)} ({allowed.reason})"
    for rule in comparison.left_out:
        yield "dim", f"  left out: {rule.rule}: {rule.reason}"
        for words in _cut([in_words(one) for one in rule.differences], _LEFT_OUT_LINES):
            yield "dim", f"      {words}"
    for times in comparison.times:
        yield "dim", f"  time: {times.host} · {times.task_id}  {_time(times.first)} | {_time(times.second)}"


def _sums(comparison: Comparison) -> str:
    parts = [plural(len(comparison.differences), "difference"), f"{plural(comparison.compared, 'task')} compared"]
    if comparison.allowed:
        parts.append(f"{len(comparison.allowed)} allowed")
    parts += [f"{len(rule.differences)} left out ({rule.rule})" for rule in comparison.left_out]
    return ", ".join(parts)


def in_words(difference: Difference) -> str:
    """`web1: task install: rc 0 | 1`."""
    told = " | ".join(values(difference))
    return f"{difference.host}: {difference.kind} {difference.name}: {difference.field} {told}"


def values(difference: Difference, limit: int = 120) -> tuple[str, str]:
    """Both on one line, cut short. Where that hides what differs (spaces, the end of a long line), from there on."""
    first, second = difference.first, difference.second
    shown = _line(first, limit), _line(second, limit)
    if first is None or second is None or shown[0] != shown[1]:
        return shown
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    begin = max(0, alike - 20)
    one, other = (repr(text[begin : begin + limit]) for text in (first, second))
    return (f"...{one}", f"...{other}") if begin else (one, other)


def _line(text: str | None, limit: int) -> str:
    if text is None:
        return ABSENT
    line = " ".join(text.split())
    return line if len(line) <= limit else line[:limit] + "..."


def _time(value: float | None) -> str:
    return ABSENT if value is None else seconds(value)


def _cut(found: Sequence[str], most: int) -> list[str]:
    return [*found[:most], f"... and {len(found) - most} more"] if len(found) > most else list(found)


def render(report: CompareReport, form: Format) -> str:
    """The report's text."""
    if form == "json":
        return report.model_dump_json(indent=2, by_alias=True) + "\n"
    if form == "junit":
        return _junit(report)
    from harness.report.html import page

    return page("compare.html.j2", report=report, values=values, ABSENT=ABSENT, times=_slowest(report))


def write(report: CompareReport, path: Path, form: Format) -> None:
    """Raises HarnessError where it cannot be written."""
    try:
        write_atomically(path, render(report, form))
    except OSError as error:
        raise HarnessError(
            f"cannot write the report {path}: {error.strerror or error}", hint="choose another file with --output"
        ) from error


def _slowest(report: CompareReport) -> float:
    """What a bar of full width stands for."""
    found = [time for one in report.comparisons for pair in one.times for time in (pair.first, pair.second) if time]
    return max(found, default=1.0)


def _junit(report: CompareReport) -> str:
    """A suite each comparison; a case each task that was compared, and one each thing that differs on a machine."""
    from harness.report.junit import Case, Suite, suites_xml

    suites = []
    for one in report.comparisons:
        name = f"{report.scenario}: {one.first} | {one.second}"
        by_thing: dict[tuple[str, str, str], list[Difference]] = {}
        for times in one.times:
            by_thing[times.host, "task", times.task_id] = []
        for difference in one.differences:
            by_thing.setdefault((difference.host, difference.kind, difference.name), []).append(difference)
        cases = [
            Case(f"{report.scenario}.{host}.{kind}", thing, 0.0, "failed" if found else "passed", *_told(found))
            for (host, kind, thing), found in by_thing.items()
        ]
        suites.append(Suite(name, report.started, sum(side.seconds for side in report.sides), cases))
    broken = [side for side in report.sides if side.error is not None]
    cases = [Case(report.scenario, one.name, one.seconds, "error", one.error or "", one.error or "") for one in broken]
    return suites_xml([*suites, *([Suite(report.scenario, report.started, 0.0, cases)] if cases else [])])


def _told(found: Sequence[Difference]) -> tuple[str, str]:
    """In a line, and in full."""
    return ", ".join(one.field for one in found), "\n".join(in_words(one) + f"\n{one.detail}" for one in found)
