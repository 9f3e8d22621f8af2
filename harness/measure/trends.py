"""What the runs of a scenario tell over time, and what is worse in the newest than it was before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from harness.models.results import TestReport
from harness.report.findings import scenario_of, verdict
from harness.report.text import seconds, size

ENOUGH = 3
"""So many runs before must have passed: of fewer nobody knows what is usual."""


@dataclass(frozen=True)
class Kind:
    """Of figures: one is worse that is so many `times` the usual, by the `least` or more, and more than any before."""

    times: float
    least: float
    words: Callable[[float], str]
    more_is_better: bool = False

    def worse(self, now: float, before: Sequence[float]) -> bool:
        usual = median(before)
        if self.more_is_better:
            return now < usual / self.times and now < min(before)
        return now > usual * self.times and now - usual >= self.least and now > max(before)


_SECONDS = Kind(1.5, 0.2, seconds)
_KINDS: Mapping[str, Kind] = {
    "binary": Kind(1.1, 0, lambda value: size(round(value))),
    "improvement factor": Kind(1.5, 0, lambda value: f"{value:.1f}x", more_is_better=True),
}
"""What is no time."""


@dataclass(frozen=True)
class RunFigures:
    """`figures`: seconds of the `run`, of each `step NAME` and of the `plan` (from the first push to the last host's
    end); bytes of the largest `binary`; the `improvement factor` where a baseline was measured."""

    run: str
    started: datetime
    verdict: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Trend:
    """The runs of one scenario, newest first."""

    scenario: str
    runs: Sequence[RunFigures]
    regressions: Sequence[str]


def trends(reports: Iterable[TestReport], *, most: int) -> list[Trend]:
    """By scenario, of each the newest `most` runs."""
    runs: dict[str, list[TestReport]] = {}
    for report in sorted(reports, key=lambda report: report.start_time, reverse=True):
        runs.setdefault(scenario_of(report), []).append(report)
    found = []
    for scenario in sorted(runs):
        figures = [_figures(report) for report in runs[scenario][:most]]
        found.append(Trend(scenario, figures, _regressions(figures[0], figures[1:])))
    return found


def told(name: str, value: float) -> str:
    """A figure as a person reads it."""
    return _kind(name).words(value)


def _kind(name: str) -> Kind:
    return _KINDS.get(name, _SECONDS)


def _figures(report: TestReport) -> RunFigures:
    found = {"run": (report.end_time - report.start_time).total_seconds()}
    for step in report.steps:
        if step.outcome != "skipped":
            name = f"step {step.step}"
            found[name] = found.get(name, 0.0) + step.duration
    if report.execution_result is not None:
        found["plan"] = report.execution_result.execution_time
        factor = report.execution_result.performance_metrics.improvement_factor
        if factor is not None:
            found["improvement factor"] = factor
    if report.compilation_results:
        found["binary"] = max(one.binary_size for one in report.compilation_results)
    return RunFigures(report.run, report.start_time, verdict(report), found)


def _regressions(newest: RunFigures, earlier: Sequence[RunFigures]) -> list[str]:
    """A run that failed is measured against nothing: its times say how far it came."""
    if newest.verdict == "failed":
        if earlier and earlier[0].verdict != "failed":
            return [f"failed, and {earlier[0].verdict} in the run before"]
        return []
    good = [run for run in earlier if run.verdict != "failed"]
    found = []
    for name, now in newest.figures.items():
        before = [run.figures[name] for run in good if name in run.figures]
        if len(before) >= ENOUGH and _kind(name).worse(now, before):
            usual = f"usually {told(name, median(before))} (median of {len(before)} runs)"
            found.append(f"{name}: {told(name, now)}, {usual}")
    return found
