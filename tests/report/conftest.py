"""Reports of a run as the lifecycle makes them: one that passed, one in which everything went wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.models import results as r
from harness.models.config import E2ETestConfig
from tests.projects import fake_folder, project

__all__ = ["fake_folder", "project"]

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_report(
    *,
    tasks: list[r.TaskExecutionResult],
    checks: list[r.CheckResult],
    result: r.Pass | r.Fail | r.Warning,
    steps: list[r.StepResult] | None = None,
    error: str | None = None,
) -> r.TestReport:
    host = r.HostExecutionResult(
        host="web1", task_results=tasks, deployment_method="binary", execution_time=0.5, error=error
    )
    return r.TestReport(
        config=E2ETestConfig(test_name="web", execution_plan_path="plan.json", target_platforms=[]),
        compilation_result=None,
        execution_result=r.ExecutionResult(
            deployment_strategy_used="BinaryOnly",
            execution_time=0.5,
            host_results=[host],
            performance_metrics=r.PerformanceMetrics(total_execution_time=0.5),
        ),
        validation_report=r.ValidationReport(
            test_name="web",
            overall_result=result,
            task_validations=[
                r.TaskValidationResult(
                    host="web1", task_id="motd", passed=all(c.outcome == "passed" for c in checks), checks=checks
                )
            ],
            performance_validation=r.PerformanceValidationResult(passed=True),
            deployment_validation=r.DeploymentValidationResult(passed=True),
        ),
        start_time=START,
        end_time=START + timedelta(seconds=1.5),
        scenario="web",
        run="20260102-1",
        steps=steps or [],
    )


@pytest.fixture
def passed() -> r.TestReport:
    return make_report(
        tasks=[
            r.TaskExecutionResult(task_id="motd", name="write motd", status=r.Success(), changed=True, module="copy"),
            r.TaskExecutionResult(task_id="off", status=r.Skipped(reason="Conditional result was False: no")),
        ],
        checks=[r.CheckResult(check="web1::motd::FileMode[/etc/motd]", outcome="passed")],
        result=r.Pass(),
        steps=[r.StepResult(step="converge", outcome="passed", duration=0.5)],
    )


@pytest.fixture
def failed() -> r.TestReport:
    return make_report(
        tasks=[
            r.TaskExecutionResult(
                task_id="deploy", status=r.Failed(error="non-zero return code"), module="command", rc=7,
                stderr="boom \x00\x1b[31mred\ud800", output="so far",
            )
        ],
        checks=[
            r.CheckResult(
                check="web1::motd::FileMode[/etc/motd]", outcome="failed", message="mode differs",
                expected="0644", actual="0600", hint="the task sets 0600",
            )
        ],
        result=r.Fail(reasons=["1 task failed"]),
        steps=[r.StepResult(step="converge", outcome="failed", duration=0.5, reason="web1 failed", log=Path("x.log"))],
    )  # fmt: skip
