"""No false pass: every expected value of every fixture, changed, makes its check fail on a host that converged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.drivers import images
from harness.lifecycle.context import RunOptions
from harness.lifecycle.events import Silent
from harness.lifecycle.run import perform
from harness.models.config import ExpectedOutcome
from harness.models.results import Failed, HostExecutionResult, Skipped, Success, TaskExecutionResult
from harness.models.verification import VerifyJob, VerifyOutcome
from harness.registry import driver
from harness.scenario import load_settings, scenario_from_fixture
from harness.verify import child, mutation
from tests.verify.conftest import JobMaker


def test_every_kind_of_check_on_this_machine(make_job: JobMaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    (tmp_path / "file").chmod(0o640)
    path = f"{tmp_path}/file"
    artifacts: list[dict[str, Any]] = [
        {"path": path, "check_type": "FileExists", "expected_value": "true"},
        {"path": f"{path}-none", "check_type": "FileExists", "expected_value": "false"},
        {"path": path, "check_type": "FileMode", "expected_value": "0640"},
        {"path": path, "check_type": {"FileContent": {"regex": False}}, "expected_value": "content\n"},
        {"path": path, "check_type": {"FileContent": {"regex": True}}, "expected_value": "^con|nothing"},
        {"path": path, "check_type": {"FileSize": {"min": None, "max": None}}, "expected_value": "8"},
        {"path": path, "check_type": {"FileSize": {"min": 1, "max": 8}}, "expected_value": ""},
        {"path": "no-such-process-4f1d", "check_type": "ProcessRunning", "expected_value": "false"},
    ]
    tasks = [
        {"task_id": "ok", "artifacts": artifacts, "validation_commands": [f"test -f {path}", "# no more\ntrue # yes"]},
        {"task_id": "failed", "expected_result": {"Failure": {"expected_error": "no space"}}},
        {"task_id": "skipped", "expected_result": {"Skip": {"reason": "was False"}}},
    ]
    statuses = {"ok": Success(), "failed": Failed(error="no space left"), "skipped": Skipped(reason="it was False")}
    records = [TaskExecutionResult.model_validate({"task_id": name, "status": s}) for name, s in statuses.items()]
    result = HostExecutionResult(host="node1", task_results=records, deployment_method="binary", execution_time=0)
    expected = ExpectedOutcome.model_validate({"host": "node1", "tasks": tasks, "expected_method": "binary"})
    job = make_job(expected=[expected], host_results=[result])
    wrong, made = mutation.survivors(job, workdir=tmp_path)
    assert wrong == []
    assert made == 1 + 1 + 7 + 3 + 1 + 2 + 2 + 1 + 2 + 2 + 3 + 3 + 1


def test_a_check_that_looks_at_nothing_is_found(make_job: JobMaker, tmp_path: Path) -> None:
    """The check of the check: on a host that does not meet the expectation its mutant lives, and that is told."""
    artifact = {"path": f"{tmp_path}/none", "check_type": "FileExists", "expected_value": "true"}
    expected = ExpectedOutcome.model_validate({"host": "node1", "tasks": [{"task_id": "t", "artifacts": [artifact]}]})
    result = HostExecutionResult(
        host="node1",
        task_results=[TaskExecutionResult(task_id="t", status=Success())],
        deployment_method="binary",
        execution_time=0,
    )
    wrong, made = mutation.survivors(make_job(expected=[expected], host_results=[result]), workdir=tmp_path)
    path = f"{tmp_path}/none"
    assert [words.split(":\n")[0].split(": node1,")[0] for words in wrong] == [
        f"unchanged: node1::t::FileExists[{path}] (failed)",
        f"node1::t: FileExists[{path}] 'true' -> 'false' (passed)",
    ]
    assert made == 3


FIXTURES = (
    "simple_plan",
    "multi_host_plan",
    "dependency_plan",
    "older_format_plan",
    "mixed_modules_plan",
    "error_plan",
    pytest.param("package_manager_plan", marks=pytest.mark.image),
    pytest.param("service_management_plan", marks=[pytest.mark.systemd, pytest.mark.image]),
    "large_scale_plan",
)


@pytest.mark.cargo
@pytest.mark.sandbox
@pytest.mark.parametrize("fixture", FIXTURES)
def test_fixtures(fixture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real run, whose verification judges the expectations and all their mutants instead of the former alone."""
    problems = driver("native").diagnose()
    if problems:
        pytest.skip(f"no sandbox here: {problems[0]}")
    monkeypatch.chdir(tmp_path)
    scenario = scenario_from_fixture(fixture, "native", load_settings(tmp_path))
    needed = {platform.image for platform in scenario.platforms if platform.image}
    missing = [image for image in needed if images.find(image) is None]
    if missing and images.missing_tools():
        pytest.skip(f"the image {missing[0]} cannot be built: {', '.join(images.missing_tools())} is missing")
    judged: list[tuple[list[str], int]] = []

    def with_the_mutants(job: VerifyJob, *, workdir: Path, **_: Any) -> VerifyOutcome:
        with monkeypatch.context() as real:
            real.setattr(child, "run_verify", run_verify)
            judged.append(mutation.survivors(job, workdir=workdir))
        return VerifyOutcome(tests_run=1, passed=1, failed=0, skipped=0, errors=0)

    run_verify = child.run_verify
    monkeypatch.setattr(child, "run_verify", with_the_mutants)
    sequences = {**scenario.sequences, "test": ("create", "prepare", "converge", "verify", "destroy")}
    # The hosts of the large plan are all alike.
    some = tuple(platform.name for platform in scenario.platforms[:4])
    result = perform(replace(scenario, sequences=sequences), "test", RunOptions(platforms=some), Silent())
    assert judged, result.report.steps
    [(wrong, made)] = judged
    assert wrong == []
    assert made > 0
