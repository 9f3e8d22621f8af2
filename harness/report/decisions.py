"""Decisions for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.deploy.decide import NAMES, Decision
from harness.models.config import DeploymentStrategy
from harness.models.results import DecisionRecord
from harness.report.text import plural, seconds


def as_rows(decisions: Iterable[Decision], strategies: Mapping[str, DeploymentStrategy]) -> list[list[str]]:
    """Of a table: host, strategy, method; each reason, segment and obstacle on a line of its own."""
    rows = []
    for decision in decisions:
        told = [*decision.reasons, *_segments(decision), *(f"but: {words}" for words in decision.obstacles)]
        first = [decision.host, NAMES[strategies[decision.host].tag], decision.method, told[0]]
        rows += [first, *(["", "", "", line] for line in told[1:])]
    return rows


def as_values(decisions: Iterable[Decision], strategies: Mapping[str, DeploymentStrategy]) -> list[dict[str, Any]]:
    return [
        {
            "host": decision.host,
            "strategy": NAMES[strategies[decision.host].tag],
            "method": decision.method,
            "degraded": decision.degraded,
            "reasons": list(decision.reasons),
            "obstacles": list(decision.obstacles),
            "segments": [
                {
                    "method": segment.method,
                    "play": segment.play,
                    "tasks": list(segment.tasks),
                    "handlers": list(segment.handlers),
                }
                for segment in decision.segments
            ],
        }
        for decision in decisions
    ]


def in_words(record: DecisionRecord) -> str:
    """What was decided for a host, why, what had been done by then and what it had cost, and how it travelled."""
    head = record.method
    if record.degraded:
        head = f"degraded to {record.method}"
        if record.spent:
            head += f" after {seconds(record.spent)}"
        if record.finished:
            head += f" and {plural(len(record.finished), 'finished task')} ({_some(record.finished)})"
    first, newline, more = "; ".join(record.reasons).partition("\n")
    tail = f" [{record.route}]" if record.route else ""
    return f"{head}: {first}{tail}{newline}{more}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _segments(decision: Decision) -> list[str]:
    return [
        f"{number}. {segment.method}: {_listed(segment.tasks, segment.handlers)}"
        for number, segment in enumerate(decision.segments, 1)
    ]


def _listed(tasks: tuple[str, ...], handlers: tuple[str, ...]) -> str:
    named = ", ".join((*tasks, *(f"handler {handler}" for handler in handlers)))
    return named if len(named) <= 100 else f"{len(tasks) + len(handlers)} tasks and handlers"
