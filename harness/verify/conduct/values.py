"""Whether later tasks saw what earlier ones registered, and times that can be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from harness.verify.conduct.evidence import Evidence, Finding
from harness.verify.conduct.expressions import Unknown
from harness.verify.conduct.replay import Turn, turns

_SLACK = 2.0
"""Seconds by which two clocks, or the grain of one, may disagree."""
_STALL = 1.0
"""Seconds that may pass between the end of a command and its runner's taking note of it."""


def registered_values(evidence: Evidence) -> Iterator[Finding]:
    """`debug` says what it was given; what it was given is known from the records of the tasks before."""
    for turn in turns(evidence):
        template = turn.task.args.get("msg")
        if turn.module != "debug" or not isinstance(template, str) or "{{" not in template or not turn.succeeded:
            continue
        if turn.task.loop is not None or turn.task.no_log:
            continue
        try:
            wanted = turn.variables.render(template)
        except Unknown:
            continue
        if wanted[:1] in ("{", "["):
            continue  # taken for a value, which each writes in its own way
        if turn.record.msg.rstrip("\n") != wanted.rstrip("\n"):
            yield Finding("registered", turn.task.task_id, repr(wanted), f"it said {turn.record.msg!r}")


def times(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.by_binary:
        return  # Ansible's times are the controller's
    if evidence.part:
        yield from _limits(evidence)
        return
    starts: list[tuple[str, float, float]] = []
    for record in evidence.records:
        if record.duration < 0:
            yield Finding("times", record.task_id, "a time", f"a duration of {record.duration:g} s")
        began = seconds(record.start)
        if began is None:
            yield Finding("times", record.task_id, "a time as RFC 3339 has it", f"a start {record.start!r}")
        else:
            starts.append((record.task_id, began, record.duration))
    yield from _one_after_another(starts)
    yield from _within(evidence, starts)
    if len(evidence.records) >= 3 and all(record.duration == 0 for record in evidence.records):
        yield Finding("times", "", "how long each task took", f"all {len(evidence.records)} tasks took 0 s exactly")


def _one_after_another(starts: list[tuple[str, float, float]]) -> Iterator[Finding]:
    for (first, began, took), (second, then, _) in pairwise(starts):
        if then < began - _SLACK:
            yield Finding("times", second, f"begins after {first}", f"it began {began - then:.1f} s before")
        elif then < began + took - _SLACK:
            late = began + took - then
            yield Finding("times", second, f"begins when {first} has ended", f"it began {late:.1f} s before that")


def _within(evidence: Evidence, starts: list[tuple[str, float, float]]) -> Iterator[Finding]:
    """Between the two looks at the machine, by its own clock; where that was set meanwhile, by ours alone."""
    total = sum(took for _, _, took in starts)
    if evidence.elapsed and total > evidence.elapsed + _SLACK:
        yield Finding("times", "", f"at most {evidence.elapsed:.1f} s in all", f"its tasks took {total:.1f} s")
    before, after = evidence.before, evidence.after
    if before is None or after is None or not before.clock or not after.clock:
        return
    if abs((after.clock - before.clock) - evidence.elapsed) > _SLACK:
        return
    for task_id, began, took in starts:
        if began < before.clock - _SLACK or began + took > after.clock + _SLACK:
            yield Finding(
                "times",
                task_id,
                f"between {_clock(before.clock)} and {_clock(after.clock)} by the machine's own clock",
                f"from {_clock(began)} on, for {took:.1f} s",
            )


def overrunning(evidence: Evidence) -> Iterator[Turn]:
    """Tasks that succeeded after their `timeout`, as they also do where the machine stood still in that moment."""
    for turn in turns(evidence) if evidence.by_binary else ():
        limit = turn.task.timeout
        once = turn.task.loop is None and turn.record.attempts <= 1 and turn.task.until is None
        if limit and once and turn.succeeded and turn.record.duration > limit + _STALL:
            yield turn


def _limits(evidence: Evidence) -> Iterator[Finding]:
    """In both runs: no machine stands still in the same task twice."""
    for turn in overrunning(evidence):
        if turn.task.task_id in evidence.overran:
            wanted = f"ended after its timeout of {turn.task.timeout:g} s"
            yield Finding("times", turn.task.task_id, wanted, f"{turn.record.duration:.1f} s, and so in the first run")


def seconds(text: str) -> float | None:
    """RFC 3339 as seconds since the epoch; None where it is none."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")
