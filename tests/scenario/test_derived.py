from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.models.config import ForceSSH
from harness.models.scenario import Scenario
from harness.scenario import Settings, load_settings, scenario_from_config, scenario_from_fixture
from tests.scenario.conftest import problems_of

NATIVE = {"arch": "x86_64", "os": "linux", "environment": "Native"}


def plan(hosts: list[str], deployments: list[Any] | None = None) -> dict[str, Any]:
    task = {"task_id": "t", "module": "command", "args": {"argv": ["true"]}}
    return {
        "metadata": {},
        "hosts": hosts,
        "plays": [{"play_id": "p", "batches": [{"batch_id": "b", "tasks": [task]}]}],
        "binary_deployments": deployments or [],
    }


def config(project: Path, **changes: Any) -> Scenario:
    given = {
        "test_name": "basic deployment!",
        "execution_plan_path": "plan.json",
        "target_platforms": [NATIVE],
        "deployment_strategy": "BinaryOnly",
        "expected_outcomes": [],
        "timeout_seconds": 77,
        "use_containers": False,
    } | changes
    (project / "configs").mkdir(exist_ok=True)
    file = project / "configs" / "e2e-config.json"
    file.write_text(json.dumps(given))
    if not (project / "configs/plan.json").exists():
        (project / "configs/plan.json").write_text(json.dumps(plan(["web1", "web2"])))
    return scenario_from_config(Path("configs/e2e-config.json"), load_settings(project))


def test_each_host_of_the_plan_gets_a_platform(project: Path) -> None:
    outcomes = [{"host": "web1", "tasks": [{"task_id": "t"}]}]
    scenario = config(project, deployment_strategy="ForceSSH", expected_outcomes=outcomes)
    file = project / "configs" / "e2e-config.json"
    assert (scenario.ref.project, scenario.ref.name, scenario.ref.directory) == (file, "basic-deployment", file.parent)
    assert [(spec.name, spec.driver, spec.os, spec.arch) for spec in scenario.platforms] == [
        ("web1", "native", "linux", "x86_64"),
        ("web2", "native", "linux", "x86_64"),
    ]
    assert scenario.provisioner.plan == file.parent / "plan.json"
    assert scenario.provisioner.strategy == ForceSSH()
    assert scenario.verifier.expected_outcomes[0].host == "web1"
    assert scenario.timeout_seconds == 77
    assert "verify" in scenario.sequences["test"]


def test_a_plan_beside_the_config_goes_before_one_in_the_current_folder(project: Path) -> None:
    (project / "plan.json").write_text(json.dumps(plan(["here"])))
    (project / "other.json").write_text(json.dumps(plan(["here"])))
    assert config(project).platforms[0].name == "web1"
    assert config(project, execution_plan_path="other.json").platforms[0].name == "here"


def test_the_platform_that_fits_the_plans_target(project: Path) -> None:
    needs = [
        {"target_hosts": [host], "compilation_requirements": {"target_arch": arch, "target_os": "linux"}}
        for host, arch in (("a", "aarch64"), ("b", "x86_64"))
    ]
    (project / "configs").mkdir()
    (project / "configs/plan.json").write_text(json.dumps(plan(["a", "b", "c"], needs)))
    arm = {"arch": "arm64", "os": "linux"}
    scenario = config(project, target_platforms=[arm, NATIVE])
    assert [spec.arch for spec in scenario.platforms][:2] == ["aarch64", "x86_64"]
    found = problems_of(lambda: config(project, target_platforms=[NATIVE]))
    assert found == [
        "configs/e2e-config.json: target_platforms: none fits the host 'a', which the plan compiles for aarch64 linux"
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"execution_plan_path": "nowhere.json"}, "execution_plan_path: there is no file 'nowhere.json'"),
        ({"target_platforms": []}, "target_platforms: there must be at least one"),
        ({"target_platforms": [{"arch": "x"}]}, "target_platforms[0].os: missing"),
        ({"target_platforms": [{**NATIVE, "environment": "Dcoker"}]}, "unknown variant 'Dcoker'"),
        ({"target_platforms": [{**NATIVE, "enviroment": "Native"}]}, "did you mean environment?"),
        (
            {"target_platforms": [{**NATIVE, "environment": {"Docker": {"volumes": []}}}]},
            "target_platforms[0].environment.image: missing",
        ),
        (
            {"target_platforms": [{**NATIVE, "environment": {"Docker": {"image": "debian:12", "volumes": []}}}]},
            "environment: is Docker, and use_containers is false",
        ),
        ({"target_platforms": [{**NATIVE, "arch": "x87"}]}, "should be one of x86_64"),
        ({"deployment_strategy": "binary"}, "deployment_strategy: unknown variant 'binary'"),
        ({"timeout_seconds": 0}, "timeout_seconds: should be more than 0"),
        ({"timeout_seconds": "soon"}, "timeout_seconds: should be a whole number, not 'soon'"),
        ({"expected_outcomes": [{"host": "web3"}]}, "the plan has no host 'web3'; did you mean 'web"),
        ({"expected_outcomes": [{"host": "web1", "tasks": [{"task_id": "u"}]}]}, "the plan has no task 'u'"),
        ({"expected_outcomes": [{"hots": "web1"}]}, "did you mean host?"),
        ({"test_nam": "x"}, "test_nam: unknown key; did you mean test_name?"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(project: Path, changes: dict[str, Any], words: str) -> None:
    found = problems_of(lambda: config(project, **changes))
    assert words in "\n".join(found)
    assert "e2e-config.json" in found[0]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 9999, b'"x"', b"3"])
def test_what_is_no_config(project: Path, data: bytes) -> None:
    (project / "c.json").write_bytes(data)
    assert problems_of(lambda: scenario_from_config(Path("c.json"), load_settings(project)))


def test_a_host_that_can_be_no_platform(project: Path) -> None:
    (project / "configs").mkdir()
    (project / "configs/plan.json").write_text(json.dumps(plan(["a" * 64])))
    assert "has 64 characters" in problems_of(lambda: config(project))[0]


# --- fixtures ---


def fixture_settings(project: Path, outcomes: Any) -> Settings:
    folder = project / "fixtures"
    for name, value in (
        ("execution_plans/own.json", plan(["a", "b"])),
        ("expected_outcomes/own_outcomes.json", outcomes),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value))
    (project / "harness.toml").write_text("[fixtures]\nfixtures_dir = 'fixtures'\n")
    return load_settings(project)


@pytest.mark.parametrize("name", ["own", "own.json"])
def test_a_fixture_gets_one_platform_per_host_with_the_keys_it_asks_for(project: Path, name: str) -> None:
    outcomes = {
        "category": "basic",
        "platform": {"image": "debian-12", "faults": {}},
        "expected_outcomes": [{"host": "a", "tasks": [{"task_id": "t"}]}],
    }
    scenario = scenario_from_fixture(name, "fake", fixture_settings(project, outcomes))
    assert [(spec.name, spec.driver, spec.image) for spec in scenario.platforms] == [
        ("a", "fake", "debian-12"),
        ("b", "fake", "debian-12"),
    ]
    assert scenario.name == "own"
    assert scenario.ref.project == project
    assert scenario.category == "basic"
    assert scenario.provisioner.plan == project / "fixtures/execution_plans/own.json"
    assert [outcome.host for outcome in scenario.verifier.expected_outcomes] == ["a"]


@pytest.mark.parametrize(("driver", "image"), [("docker", "debian-12"), ("vagrant", "debian-12"), ("native", None)])
def test_a_fixture_that_names_no_image_gets_the_drivers_usual_one(
    project: Path, driver: str, image: str | None
) -> None:
    scenario = scenario_from_fixture("own", driver, fixture_settings(project, []))
    assert {platform.image for platform in scenario.platforms} == {image}


@pytest.mark.parametrize("suffix", ["json", "sh"])
def test_a_fixture_brings_what_prepares_its_platforms(project: Path, suffix: str) -> None:
    settings = fixture_settings(project, [])
    assert scenario_from_fixture("own", "fake", settings).provisioner.prepare is None
    file = project / "fixtures/prepare" / f"own_prepare.{suffix}"
    file.parent.mkdir()
    file.write_text("")
    assert scenario_from_fixture("own", "fake", settings).provisioner.prepare == file


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ({"platform": {"image": 3}, "expected_outcomes": []}, "platform.image: should be text, not 3"),
        ({"platform": {"imge": "x"}, "expected_outcomes": []}, "host a: imge: unknown key; did you mean image?"),
        ([{"host": "c"}], "the plan has no host 'c'"),
        ([{"host": "a", "tasks": 3}], "tasks: should be a list, not 3"),
    ],
)
def test_what_is_wrong_with_a_fixture(project: Path, outcomes: Any, words: str) -> None:
    found = problems_of(lambda: scenario_from_fixture("own", "fake", fixture_settings(project, outcomes)))
    assert words in "\n".join(found)


def test_a_fixture_that_is_not_there(project: Path) -> None:
    with pytest.raises(UsageError, match="there is no fixture named 'onw'") as caught:
        scenario_from_fixture("onw", None, fixture_settings(project, []))
    assert caught.value.hint == "did you mean own?"
