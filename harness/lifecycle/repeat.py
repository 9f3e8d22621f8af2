"""The same scenario several times over: reports without what may differ, and what differs all the same."""

from __future__ import annotations

from collections.abc import Sequence

from harness.models.results import Failed, Skipped, TaskExecutionResult, TestReport
from harness.report.findings import hosts


def outcomes(report: TestReport) -> dict[str, str]:
    """What a repeated run should bring forth again: the outcome of each step, task and check, by a readable name.

    Times, sizes, paths and run ids are left out.
    """
    found: dict[str, str] = {f"step {step.step}#{number}": step.outcome for number, step in enumerate(report.steps)}
    for host in hosts(report):
        if host.error:
            found[f"{host.host}: the run"] = "error"
        for task in host.task_results:
            found[f"{host.host}: task {task.task_id}"] = outcome_of(task)
    for validation in report.validation_report.task_validations:
        for check in validation.checks:
            found[f"{validation.host}: check {check.check}"] = check.outcome
    for check in report.validation_report.suite:
        found[f"check {check.check}"] = check.outcome
    return found


def outcome_of(task: TaskExecutionResult) -> str:
    """`ok`, `changed`, `failed` or `skipped`."""
    if isinstance(task.status, Failed):
        return "failed"
    return "skipped" if isinstance(task.status, Skipped) else "changed" if task.changed else "ok"


def flaky(reports: Sequence[TestReport]) -> list[str]:
    """What did not end the same way each time, with how often it ended how."""
    runs = [outcomes(report) for report in reports]
    names = dict.fromkeys(name for run in runs for name in run)
    lines = []
    for name in names:
        ended = [run.get(name, "absent") for run in runs]
        if len(set(ended)) > 1:
            counts = ", ".join(f"{outcome} {ended.count(outcome)} of {len(ended)}" for outcome in dict.fromkeys(ended))
            lines.append(f"{name}: {counts}")
    return lines
