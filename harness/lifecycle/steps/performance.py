"""What `harness test` measures beyond its one run: the baseline, and a slow run once more before it counts as slow."""

from __future__ import annotations

import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.lifecycle.context import Context, DestroyPolicy
from harness.lifecycle.failures import StepSkipped
from harness.lifecycle.steps.converge import checked_plan, execute
from harness.lifecycle.steps.create import create, destroy
from harness.lifecycle.steps.scripts import prepare
from harness.models.config import PerformanceThreshold

ATTEMPTS = 3
"""Runs, the first included, of which the best must keep a limit of time, and the median reach a factor."""


@dataclass(frozen=True)
class _Asked:
    baseline: bool
    factor: float | None
    """The greatest min_improvement_factor."""


def wanted(context: Context) -> bool:
    """Whether there is anything to measure once the scenario has passed."""
    return context.verb == "test" and bool(context.ledger.host_results) and (_asked(context).baseline or slow(context))


def performance(context: Context) -> None:
    """On platforms made anew for each measurement; those of the run itself are gone afterwards."""
    if context.options.destroy is not DestroyPolicy.ALWAYS:
        raise StepSkipped("it needs fresh platforms, and those of this run are to be kept (--destroy)")
    asked = _asked(context)
    if asked.baseline and (why := _no_baseline(context)):
        context.ledger.no_baseline = why
        asked = _Asked(False, None)
    measured = context.ledger.measured
    if asked.baseline:
        measured.baseline.append(_baseline(context))
    while measured.repeats < ATTEMPTS - 1 and (slow(context) or _too_low(context, asked.factor)):
        measured.repeats += 1
        _again(context)
        if asked.baseline:
            measured.baseline.append(_baseline(context))


def slow(context: Context) -> bool:
    """Whether a limit of time has been passed by every run so far."""
    return any(
        threshold.max_execution_time_seconds is not None and min(times) > threshold.max_execution_time_seconds
        for _, threshold, times in limits(context)
    )


def limits(context: Context) -> list[tuple[str, PerformanceThreshold, list[float]]]:
    """What is limited, by what, and the times that were measured of it."""
    ledger = context.ledger
    if not ledger.host_results:
        return []
    found = []
    if context.scenario.performance is not None:
        found.append(("the run", context.scenario.performance, [ledger.execution_time, *ledger.measured.runs]))
    for outcome in context.scenario.verifier.expected_outcomes:
        result = ledger.host_results.get(outcome.host)
        if result is not None and outcome.performance_threshold is not None:
            more = ledger.measured.hosts.get(outcome.host, [])
            found.append((outcome.host, outcome.performance_threshold, [result.execution_time, *more]))
    return found


def _asked(context: Context) -> _Asked:
    factors = [one.min_improvement_factor for _, one, _ in limits(context) if one.min_improvement_factor is not None]
    return _Asked(context.scenario.baseline or bool(factors), max(factors, default=None))


def _too_low(context: Context, factor: float | None) -> bool:
    factors = context.ledger.factors
    return factor is not None and bool(factors) and statistics.median(factors) < factor


def _no_baseline(context: Context) -> str | None:
    """Why Ansible cannot do the same on these platforms."""
    from harness.ansible.find import find_command
    from harness.models.endpoint import Ssh

    others = [name for name in context.hosts if not isinstance(context.fleet.members[name].endpoint, Ssh)]
    if others:
        return f"{', '.join(others)}: Ansible needs `connection: ssh`"
    try:
        find_command("ansible-playbook")
    except HarnessError as error:
        return error.message
    return None


def _fresh(context: Context) -> None:
    for step in (destroy, create, prepare):
        with suppress(StepSkipped):
            step(context)


def _again(context: Context) -> None:
    _fresh(context)
    context.connections("performance")
    started = time.monotonic()
    results = execute(context, checked_plan(context), step="performance")
    measured = context.ledger.measured
    measured.runs.append(time.monotonic() - started)
    for host, result in results.items():
        measured.hosts.setdefault(host, []).append(result.execution_time)


def _baseline(context: Context) -> float:
    from harness.measure.by_ansible import baseline_seconds

    patient = replace(context, deadline=Deadline(context.scenario.baseline_timeout))
    _fresh(patient)
    seconds = baseline_seconds(patient)
    context.event("performance", "", f"the same by Ansible, pipelined: {seconds:.2f} s")
    return seconds
