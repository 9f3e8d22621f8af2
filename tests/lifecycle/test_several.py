"""Verdicts over several scenarios, and over several runs of one."""

from __future__ import annotations

import pytest

from harness.exits import Exit
from harness.lifecycle.repeat import flaky
from harness.lifecycle.several import Verdict, overall
from harness.models.config import E2ETestConfig
from harness.models.results import (
    CheckResult,
    DeploymentValidationResult,
    ExecutionResult,
    Failed,
    HostExecutionResult,
    Pass,
    PerformanceMetrics,
    PerformanceValidationResult,
    StepResult,
    Success,
    TaskExecutionResult,
    TestReport,
    ValidationReport,
    Warning,
)


def report(*, check: str = "passed", failed: bool = False, duration: float = 1.0, warn: bool = False) -> TestReport:
    status = Failed(error="no") if failed else Success()
    result = HostExecutionResult(
        host="node1",
        task_results=[TaskExecutionResult(task_id="t", status=status, execution_time=duration)],
        deployment_method="binary",
        execution_time=duration,
    )
    return TestReport.model_validate(
        {
            "config": E2ETestConfig(test_name="x", execution_plan_path="p", target_platforms=[]),
            "compilation_result": None,
            "execution_result": ExecutionResult(
                deployment_strategy_used="BinaryOnly",
                execution_time=duration,
                host_results=[result],
                performance_metrics=PerformanceMetrics(total_execution_time=duration),
            ),
            "validation_report": ValidationReport(
                test_name="x",
                overall_result=Warning(issues=["hm"]) if warn else Pass(),
                performance_validation=PerformanceValidationResult(passed=True),
                deployment_validation=DeploymentValidationResult(passed=True),
                suite=[CheckResult(check="test_it[node1]", outcome=check)],
            ),
            "start_time": "2026-01-01T00:00:00Z",
            "end_time": "2026-01-01T00:00:09Z",
            "run": str(duration),
            "steps": [StepResult(step="converge", outcome="passed", duration=duration)],
        }
    )


def test_times_and_run_ids_make_nothing_flaky() -> None:
    assert flaky([report(duration=1.0), report(duration=7.0)]) == []


def test_what_ends_now_so_and_now_otherwise_is_named_with_its_counts() -> None:
    lines = flaky([report(), report(check="failed"), report(failed=True)])
    assert lines == [
        "node1: task t: ok 2 of 3, failed 1 of 3",
        "check test_it[node1]: passed 2 of 3, failed 1 of 3",
    ]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([0, 1], 1), ([1, 2], 2), ([0, 3], 3), ([3, 1], 1), ([2, 130], 130)],
)
def test_the_gravest_counts(codes: list[int], code: int) -> None:
    assert overall([Verdict("x", Exit(one)) for one in codes]) == code


def test_skipped_ones_count_only_when_there_is_nothing_else() -> None:
    skipped = Verdict("x", Exit(0), skipped=True)
    assert overall([skipped, skipped]) == 4
    assert overall([skipped, Verdict("y", Exit(0))]) == 0


def test_a_warning_passes_unless_strict() -> None:
    verdict = Verdict("x", Exit(0), report(warn=True))
    assert overall([verdict]) == 0
    assert overall([verdict], strict=True) == 1
