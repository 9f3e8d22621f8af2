"""The scenarios and fixtures that ship pass as their pages say, run as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import registry
from harness.lifecycle.context import RunOptions
from harness.lifecycle.events import Silent
from harness.lifecycle.run import perform
from harness.models.results import Pass
from harness.models.scenario import Scenario
from harness.scenario import load_scenario, load_settings, scenario_from_fixture
from harness.scenario.settings import Settings
from tests.shipped import copy_scenarios

pytestmark = pytest.mark.cargo


def run(scenario: Scenario, driver: str) -> None:
    problems = registry.driver(driver).diagnose()
    if problems:
        pytest.skip("; ".join(str(problem) for problem in problems))
    result = perform(scenario, "test", RunOptions(), Silent())
    report = result.report.validation_report
    assert report is not None
    assert report.overall_result == Pass(), result.report.steps


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        pytest.param("docker", "docker", marks=pytest.mark.docker),
        pytest.param("systemd", "docker", marks=pytest.mark.docker),
        pytest.param("ssh", "native", marks=[pytest.mark.ssh, pytest.mark.sandbox]),
        pytest.param("systemd-native", "native", marks=[pytest.mark.systemd, pytest.mark.image]),
    ],
)
def test_scenarios(name: str, driver: str, tmp_path: Path) -> None:
    copy_scenarios(tmp_path)
    run(load_scenario(tmp_path, name, settings=Settings()), driver)


@pytest.mark.docker
@pytest.mark.parametrize("name", ["package_manager_plan", "service_management_plan"])
def test_fixtures_in_containers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the native driver all of them run for tests/verify/test_mutation.py."""
    monkeypatch.chdir(tmp_path)
    run(scenario_from_fixture(name, "docker", load_settings(tmp_path)), "docker")
