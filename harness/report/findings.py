"""What a person has to know about a run that went wrong, drawn once from a TestReport for every kind of report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.models.results import (
    CheckResult,
    Fail,
    Failed,
    HostExecutionResult,
    Skipped,
    TaskExecutionResult,
    TestReport,
    Warning,
)


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong. `detail` holds whole lines of output."""

    where: str
    message: str
    expected: str | None = None
    actual: str | None = None
    detail: str = ""
    hint: str | None = None
    log: Path | None = None


@dataclass(frozen=True)
class Totals:
    """How many tasks and checks ended how, over all hosts of a run."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    ignored: int = 0
    """Failures that do not matter: they are not among the `failed`."""
    skipped: int = 0
    checks_passed: int = 0
    checks_failed: int = 0
    checks_skipped: int = 0


def scenario_of(report: TestReport) -> str:
    """Its name; `scenario` is ours, and specification 110's reports have but the test's."""
    return report.scenario or report.config.test_name


def verdict(report: TestReport) -> str:
    """`passed`, `failed` or `warning`."""
    result = report.validation_report.overall_result
    return "failed" if isinstance(result, Fail) else "warning" if isinstance(result, Warning) else "passed"


def checks(report: TestReport) -> Iterator[tuple[str, CheckResult]]:
    """Every check with the host it looked at (empty for what belongs to none)."""
    for task in report.validation_report.task_validations:
        for check in task.checks:
            yield task.host, check
    for check in report.validation_report.suite:
        yield "", check


def totals(report: TestReport) -> Totals:
    tasks = [task for host in hosts(report) for task in host.task_results]
    outcomes = [check.outcome for _, check in checks(report)]
    failed = sum(isinstance(task.status, Failed) and not task.ignored for task in tasks)
    ignored = sum(isinstance(task.status, Failed) and task.ignored for task in tasks)
    skipped = sum(isinstance(task.status, Skipped) for task in tasks)
    changed = sum(task.changed and not isinstance(task.status, Failed | Skipped) for task in tasks)
    return Totals(
        ok=len(tasks) - failed - ignored - skipped - changed,
        changed=changed,
        failed=failed,
        ignored=ignored,
        skipped=skipped,
        checks_passed=outcomes.count("passed"),
        checks_failed=outcomes.count("failed") + outcomes.count("error"),
        checks_skipped=outcomes.count("skipped"),
    )


def findings(report: TestReport) -> list[Finding]:
    """Everything that failed, in the order in which it happened."""
    found = [*_step_errors(report), *_task_failures(report), *_failed_checks(report)]
    told = "\n".join(f"{item.where}: {item.message}\n{item.detail}" for item in found)
    result = report.validation_report.overall_result
    reasons = result.reasons if isinstance(result, Fail) else result.issues if isinstance(result, Warning) else []
    # A reason that only says again what a task or check already said would be noise.
    return found + [Finding("", reason) for reason in reasons if reason not in told]


def is_expected(report: TestReport, host: str, task: TaskExecutionResult) -> bool:
    """Whether a failed task was expected to fail, and did so in the expected words."""
    return any(
        validation.host == host and validation.task_id == task.task_id and validation.passed and validation.checks
        for validation in report.validation_report.task_validations
    )


def task_status(report: TestReport, host: str, task: TaskExecutionResult) -> str:
    """`ok`, `changed`, `skipped`, `failed`, `failed as expected` or `ignored`."""
    if isinstance(task.status, Skipped):
        return "skipped"
    if isinstance(task.status, Failed):
        if is_expected(report, host, task):
            return "failed as expected"
        return "ignored" if task.ignored else "failed"
    return "changed" if task.changed else "ok"


def hosts(report: TestReport) -> list[HostExecutionResult]:
    return report.execution_result.host_results if report.execution_result else []


def _step_errors(report: TestReport) -> Iterator[Finding]:
    for step in report.steps:
        if step.outcome in ("failed", "error") and step.reason:
            head, _, rest = step.reason.partition("\n")
            yield Finding(step.step, head, detail=rest, log=step.log)


def _task_failures(report: TestReport) -> Iterator[Finding]:
    for host in hosts(report):
        if host.error:
            head, _, rest = host.error.partition("\n")
            yield Finding(host.host, head, detail=rest)
        for task in host.task_results:
            if isinstance(task.status, Failed) and not task.ignored and not is_expected(report, host.host, task):
                yield Finding(_task_name(host.host, task), task.status.error, detail=_output(task))


def _failed_checks(report: TestReport) -> Iterator[Finding]:
    for host, check in checks(report):
        if check.outcome in ("failed", "error"):
            head, _, rest = check.message.partition("\n")
            where = check.check if not host or check.check.startswith(host) else f"{host} · {check.check}"
            actual = check.actual if check.actual != head else None  # it has been said
            yield Finding(where, head or check.outcome, check.expected, actual, _unsaid(check, rest), check.hint)


def _unsaid(check: CheckResult, text: str) -> str:
    """The message's lines without those that say a field of the check again: `expected  0644`."""
    said = [value.splitlines() for value in (check.expected, check.actual, check.hint) if value]
    heads = tuple(lines[0] for lines in said if lines and lines[0])
    others = {line.strip() for lines in said for line in lines[1:]}
    lines = [line for line in text.splitlines() if not (heads and line.strip().endswith(heads))]
    lines = [line for line in lines if line.strip() not in others]
    return textwrap.dedent("\n".join(lines))


def _task_name(host: str, task: TaskExecutionResult) -> str:
    name = f"{task.task_id} ({task.name})" if task.name and task.name != task.task_id else task.task_id
    return f"{host} · {name}" + (f" [{task.module}]" if task.module else "")


def _output(task: TaskExecutionResult) -> str:
    parts = []
    if task.rc is not None:
        parts.append(f"rc: {task.rc}")
    for label, text in (("stdout", task.output), ("stderr", task.stderr)):
        if text.strip() and not (isinstance(task.status, Failed) and text.strip() == task.status.error.strip()):
            parts.append(f"{label}: {text.rstrip()}")
    return "\n".join(parts)
