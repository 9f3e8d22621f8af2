"""The scenarios of this repository load, and their plans and outcomes fit them. That they pass is tested end to end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import registry
from harness.errors import InvalidInput, Problem
from harness.models.config import BinaryOnly
from harness.models.scenario import Scenario
from harness.plan import check_plan, read_plan
from harness.scenario import list_scenarios, load_scenario
from harness.scenario.outcomes import check_outcomes
from harness.scenario.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = list_scenarios(ROOT)


def faults_of_its_plan(scenario: Scenario) -> list[Problem]:
    plan = scenario.provisioner.plan
    assert plan is not None
    names = [platform.name for platform in scenario.platforms]
    try:
        return check_plan(
            read_plan(plan),
            honours=registry.compiler(scenario.provisioner.compiler).honours(),
            platforms=names,
            source=plan,
            by_ansible=[name for name in names if scenario.strategy(name) != BinaryOnly()],
        )
    except InvalidInput as error:
        return list(error.problems)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_sound_or_wrong_as_it_says(name: str) -> None:
    scenario = load_scenario(ROOT, name, settings=Settings())
    assert not scenario.warnings
    assert scenario.category is not None
    faults = faults_of_its_plan(scenario)
    if scenario.expect is not None and scenario.expect.stage == "validate":
        assert any(re.search(scenario.expect.error, str(fault)) for fault in faults)
        return
    assert not faults
    if scenario.provisioner.plan is not None and scenario.provisioner.validate_plan:
        plan = read_plan(scenario.provisioner.plan)
        assert not check_outcomes(scenario.verifier.expected_outcomes, plan, source=scenario.provisioner.plan)


def test_the_default_is_what_the_readme_promises() -> None:
    scenario = load_scenario(ROOT, "default", settings=Settings())
    assert [platform.driver for platform in scenario.platforms] == ["native", "native"]
    first, second = (platform.groups for platform in scenario.platforms)
    assert first and second and not set(first) & set(second)
    assert scenario.provisioner.plan is not None
    assert read_plan(scenario.provisioner.plan).total_tasks == 10
    tests = "".join(file.read_text() for file in scenario.verifier.directory.glob("test_*.py"))
    assert len(re.findall(r"^def test_", tests, re.MULTILINE)) == 6
