"""Which failures of tasks the scenario expects: such a host has converged as it should."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.models.config import ExpectedOutcome, ExpectFailure
from harness.models.results import Failed, HostExecutionResult, TaskExecutionResult


def failures(result: HostExecutionResult, expected: Sequence[ExpectedOutcome]) -> list[TaskExecutionResult]:
    """The tasks that failed, were not told to be ignored, and are not expected to fail in these words."""
    return [
        task
        for task in result.task_results
        if isinstance(task.status, Failed) and not task.ignored and not is_expected(result.host, task, expected)
    ]


def is_expected(host: str, task: TaskExecutionResult, expected: Sequence[ExpectedOutcome]) -> bool:
    """Whether some ExpectedOutcome of this host says that the task fails with such words."""
    return any(
        isinstance(expectation.expected_result, ExpectFailure) and _says(task, expectation.expected_result)
        for outcome in expected
        if outcome.host == host
        for expectation in outcome.tasks
        if expectation.task_id == task.task_id
    )


def _says(task: TaskExecutionResult, expectation: ExpectFailure) -> bool:
    assert isinstance(task.status, Failed)
    said = "\n".join((task.status.error, task.stderr, task.output))
    if expectation.expected_error in said:
        return True
    try:
        return re.search(expectation.expected_error, said) is not None
    except re.error:
        return False
