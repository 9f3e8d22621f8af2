"""Limits of time and the factor over Ansible, as `harness test` enforces them."""

from __future__ import annotations

import pytest

from harness import registry
from harness.lifecycle.ledger import Ledger, Measured
from tests.projects import Project, task


def test_a_factor_is_the_baseline_over_the_run_beside_it() -> None:
    ledger = Ledger(reach_time=0.5, execution_time=1.5, measured=Measured(runs=[1.0], baseline=[20.0, 30.0]))
    assert ledger.factors == [10.0, 30.0]


@pytest.mark.cargo
def test_a_run_is_called_slow_only_after_it_was_slow_again(project: Project) -> None:
    project.scenario(performance={"max_execution_time_seconds": 0.0001})
    outcome = project.run("test")
    assert outcome.code == 1
    assert "the run took" in outcome.text
    assert "(the best of 3 runs), more than max_execution_time_seconds 0.0001" in outcome.text
    assert project.instances() == []


@pytest.mark.cargo
def test_a_run_that_was_slow_once_passes(project: Project) -> None:
    mark = project.folder / "mark"
    slow_once = task("once", f"test -e {mark} || {{ touch {mark}; sleep 2; }}")
    project.scenario(tasks=[slow_once], performance={"max_execution_time_seconds": 1.9})
    project.passes("test")
    assert (project.report().validation_report.performance_validation.measured_execution_time or 9) < 1.9


@pytest.mark.cargo
@pytest.mark.sandbox
@pytest.mark.root
@pytest.mark.ssh
@pytest.mark.ansible
def test_the_baseline_is_run_on_fresh_platforms(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    if problems := registry.driver("native").diagnose():
        pytest.skip(str(problems[0]))
    monkeypatch.setenv("HARNESS_PERFORMANCE_BASELINE", "true")
    project.scenario(
        driver="native",
        platforms=[{"name": "node1", "connection": "ssh"}],
        tasks=[task("fresh", "test ! -e /root/x && touch /root/x")],
        performance={"min_improvement_factor": 0.01},
    )
    project.passes("test")
    report = project.report()
    assert report.execution_result is not None
    metrics = report.execution_result.performance_metrics
    [compiled] = report.compilation_results
    assert (
        metrics.network_requests and compiled.binary_size < (metrics.data_transferred or 0) < 2 * compiled.binary_size
    )
    assert metrics.ssh_baseline_time and metrics.improvement_factor and metrics.improvement_factor > 0.01
    assert report.validation_report.performance_validation.measured_improvement_factor == metrics.improvement_factor
    assert "performance" in project.steps()
