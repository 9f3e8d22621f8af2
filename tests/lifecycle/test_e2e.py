"""Specification 110's runner, stage by stage, on native platforms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import registry
from harness.errors import HarnessError, UsageError
from harness.lifecycle.e2e import E2ETestRunner
from harness.models.config import E2ETestConfig
from harness.models.results import Fail, Pass
from tests.projects import plan, task

pytestmark = [pytest.mark.cargo, pytest.mark.sandbox]


@pytest.fixture(autouse=True)
def _native_works() -> None:
    problems = registry.driver("native").diagnose()
    if problems:
        pytest.skip("; ".join(str(problem) for problem in problems))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> E2ETestConfig:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps(plan(task("write", "echo here > /tmp/here", ["node1", "node2"]))))
    check = {"path": "/tmp/here", "check_type": "FileContent", "expected_value": "here\n"}
    return E2ETestConfig.model_validate(
        {
            "test_name": "e2e",
            "execution_plan_path": "plan.json",
            "target_platforms": [{"arch": "x86_64", "os": "linux", "environment": "Native"}],
            "deployment_strategy": "BinaryOnly",
            "expected_outcomes": [
                {"host": host, "tasks": [{"task_id": "write", "artifacts": [check]}]} for host in ("node1", "node2")
            ],
            "timeout_seconds": 60,
            "use_containers": False,
        }
    )


def instances() -> list[str]:
    return [one.id for one in registry.driver("native").instances() if "harness-e2e-" in str(one.project)]


def test_stage_by_stage(config: E2ETestConfig) -> None:
    with E2ETestRunner(config) as runner:
        runner.setup_test_environment()
        assert len(instances()) == 2
        compiled = runner.compile_execution_plan()
        assert compiled.binary_size == compiled.binary_path.stat().st_size
        execution = runner.deploy_and_execute(compiled)
        assert [host.error for host in execution.host_results] == [None, None]
        validation = runner.validate_outcomes(execution)
        assert isinstance(validation.overall_result, Pass), validation
        runner.cleanup()
        assert instances() == []


def test_the_whole_at_once_and_an_outcome_that_is_not_met(config: E2ETestConfig) -> None:
    assert isinstance(E2ETestRunner(config).run_full_test().validation_report.overall_result, Pass)
    wrong = json.loads(config.model_dump_json())
    wrong["expected_outcomes"][0]["tasks"][0]["artifacts"][0]["expected_value"] = "there"
    report = E2ETestRunner(E2ETestConfig.model_validate(wrong)).run_full_test()
    assert isinstance(report.validation_report.overall_result, Fail)
    assert instances() == []


def test_stages_out_of_order_and_a_broken_plan_are_errors(config: E2ETestConfig) -> None:
    with E2ETestRunner(config) as runner, pytest.raises(UsageError, match="no test environment"):
        runner.compile_execution_plan()
    Path("plan.json").write_text("{")
    with E2ETestRunner(config) as runner, pytest.raises(HarnessError):
        runner.setup_test_environment()
    assert instances() == []
