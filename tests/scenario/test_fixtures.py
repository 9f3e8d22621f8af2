from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import group
from harness.cli.outcome import run
from harness.compile.base import Honours, ModuleSupport
from harness.data import data_dir
from harness.errors import HarnessError, InvalidInput, UsageError
from harness.models.config import TargetPlatform
from harness.plan import read_plan
from harness.scenario.fixture import ComplexityLevel
from harness.scenario.fixtures import TestFixtureManager
from harness.scenario.outcomes import read_outcomes

SHIPPED = [
    "dependency_plan",
    "error_plan",
    "large_scale_plan",
    "mixed_modules_plan",
    "multi_host_plan",
    "older_format_plan",
    "package_manager_plan",
    "service_management_plan",
    "simple_plan",
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a fixture of one's own that has the name of a shipped one."""
    manager = TestFixtureManager()
    folder = tmp_path / "fixtures"
    small = manager.generate_large_scale_fixture(2, tasks=2)
    manager.write(small, folder)
    (folder / "execution_plans" / "mine.json").write_text(json.dumps(small.execution_plan))
    return folder


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


Harness = Callable[..., Ended]


@pytest.fixture
def harness(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Harness:
    """`harness fixtures` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUSTLE_E2E_FIXTURES_DIR", raising=False)

    def call(*args: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["harness", "fixtures", *map(str, args)])
        status = run(group)
        return Ended(int(status), *capsys.readouterr())

    return call


def test_the_shipped_fixtures_are_valid() -> None:
    manager = TestFixtureManager()
    assert manager.list_fixtures() == SHIPPED
    for name in SHIPPED:
        fixture = manager.load_fixture(name)
        manager.validate_fixture(fixture)
        assert fixture.description
        assert fixture.outcomes.expected_outcomes
        assert fixture.outcomes.category


def test_together_they_ask_for_every_kind_of_check() -> None:
    manager = TestFixtureManager()
    outcomes = [manager.outcomes(name).model_dump(mode="json") for name in SHIPPED]
    checks = [
        json.dumps(check["check_type"])
        for outcome in outcomes
        for host in outcome["expected_outcomes"]
        for task in host["tasks"]
        for check in task["artifacts"]
    ]
    for kind in ("FileExists", "FileMode", "FileSize", "ProcessRunning", "ServiceStatus"):
        assert any(kind in check for check in checks), kind
    assert '{"FileContent": {"regex": true}}' in checks
    assert '{"FileContent": {"regex": false}}' in checks
    text = json.dumps(outcomes)
    assert '"Failure": {"expected_error"' in text
    assert '"Skip": {"reason"' in text


def test_together_they_use_every_module_of_the_reference_runner() -> None:
    manager = TestFixtureManager()
    honoured = set(json.loads((data_dir("runner") / "honours.json").read_text())["modules"])
    used = {
        task.module.removeprefix("ansible.builtin.")
        for name in SHIPPED
        for play in read_plan(manager.plan_path(name)).plays
        for batch in play.batches
        for task in batch.tasks
    }
    # Other names of setup and systemd, what only a collection of Ansible's has, and what not every host has git for.
    assert honoured - used <= {"gather_facts", "systemd_service", "archive", "git"}


def test_a_fixture_as_specification_110_has_it() -> None:
    fixture = TestFixtureManager().load_fixture("simple_plan.json")
    assert fixture.name == "simple_plan"
    assert fixture.expected_hosts == ["node1"]
    assert fixture.expected_tasks == 4
    assert fixture.complexity is ComplexityLevel.SIMPLE
    assert fixture.execution_plan == json.loads(
        (data_dir("fixtures") / "execution_plans" / "simple_plan.json").read_text()
    )


def test_one_s_own_come_first(own: Path) -> None:
    manager = TestFixtureManager(own)
    assert manager.load_fixture("large_scale_plan").expected_hosts == ["host-1", "host-2"]
    assert "mine" in manager.list_fixtures()
    assert "simple_plan" in manager.list_fixtures()
    assert manager.outcomes_path("mine") is None
    assert manager.load_fixture("mine").complexity is ComplexityLevel.MEDIUM


def test_outcomes_may_have_the_shorter_name(own: Path) -> None:
    """Specification 110 has both simple_plan_outcomes.json and multi_host_outcomes.json."""
    long = own / "expected_outcomes" / "large_scale_plan_outcomes.json"
    short = long.with_name("large_scale_outcomes.json")
    long.rename(short)
    assert TestFixtureManager(own).outcomes_path("large_scale_plan") == short


@pytest.mark.parametrize("name", ["simple_paln", "../simple_plan", "", "/etc/passwd", ".."])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="there is no fixture named"):
        TestFixtureManager().plan_path(name)


def test_what_does_not_fit() -> None:
    manager = TestFixtureManager()
    fixture = manager.load_fixture("simple_plan")
    plan: dict[str, Any] = json.loads(json.dumps(fixture.execution_plan))
    plan["plays"][0]["batches"][0]["tasks"].pop()
    plan["plays"][0]["batches"][0]["tasks"][0]["args"]["bogus"] = 1
    broken = replace(fixture, execution_plan=plan, expected_hosts=["other"])
    with pytest.raises(InvalidInput) as caught:
        manager.validate_fixture(broken)
    words = " | ".join(str(problem) for problem in caught.value.problems)
    assert "args.bogus: copy has no argument 'bogus'" in words
    assert "tasks[3].task_id: the plan has no task 'words'" in words
    assert "not the expected ['other']" in words
    assert "the plan has 3 tasks, not the expected 4" in words
    with pytest.raises(InvalidInput, match="fixture simple_plan"):
        manager.validate_fixture(fixture, honours=Honours(modules={}, keywords=frozenset()))


def test_validation_leaves_the_fixture_as_it_is() -> None:
    manager = TestFixtureManager()
    fixture = manager.load_fixture("simple_plan")
    before = json.dumps(fixture.execution_plan)
    manager.validate_fixture(fixture)
    assert json.dumps(fixture.execution_plan) == before


def test_a_large_fixture_for_several_targets(tmp_path: Path) -> None:
    manager = TestFixtureManager(tmp_path)
    targets = [TargetPlatform(arch="x86_64", os="linux"), TargetPlatform(arch="aarch64", os="linux")]
    fixture = manager.generate_large_scale_fixture(101, targets, tasks=9)
    manager.validate_fixture(fixture)
    assert len(fixture.expected_hosts) == 101
    assert (fixture.expected_hosts[0], fixture.expected_tasks) == ("host-001", 9)
    first, second = fixture.execution_plan["binary_deployments"]
    assert (len(first["target_hosts"]), len(second["target_hosts"])) == (51, 50)
    assert second["compilation_requirements"]["target_arch"] == "aarch64"
    plan_path, outcomes_path = manager.write(fixture, tmp_path)
    assert len(read_plan(plan_path).hosts) == 101
    assert read_outcomes(outcomes_path) == fixture.outcomes
    assert manager.load_fixture("large_scale_plan").complexity is ComplexityLevel.COMPLEX


@pytest.mark.parametrize(("hosts", "tasks"), [(0, 1), (1, 0), (-1, 1), (100_001, 1), (1, 100_001)])
def test_counts_that_are_none(hosts: int, tasks: int) -> None:
    with pytest.raises(UsageError):
        TestFixtureManager().generate_large_scale_fixture(hosts, tasks=tasks)


def test_no_tasks_for_windows() -> None:
    with pytest.raises(UsageError, match="windows"):
        TestFixtureManager().generate_large_scale_fixture(1, [TargetPlatform(arch="x86_64", os="windows")])


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    manager = TestFixtureManager()
    fixture = manager.generate_large_scale_fixture(2, tasks=2)
    plan, _ = manager.write(fixture, tmp_path)
    manager.write(fixture, tmp_path)
    before = plan.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        manager.write(manager.generate_large_scale_fixture(3), tmp_path)
    assert plan.read_bytes() == before
    manager.write(manager.generate_large_scale_fixture(3), tmp_path, replace=True)
    assert len(read_plan(plan).hosts) == 3
    assert [path.name for path in (tmp_path / "execution_plans").iterdir()] == [plan.name]
    with pytest.raises(HarnessError, match="cannot be written"):
        manager.write(fixture, Path("/proc/self"))


def test_list_and_show(harness: Harness) -> None:
    ended = harness("list")
    assert ended.status == 0
    assert [line.split()[0] for line in ended.out.splitlines()[2:]] == SHIPPED
    rows = json.loads(harness("list", "--json").out)
    assert rows[-1]["name"] == "simple_plan" and rows[-1]["tasks"] == 4
    ended = harness("show", "simple_plan")
    assert "greeting  copy  Greet whoever logs in" in ended.out
    assert "expected of node1: 4 tasks, 9 checks" in ended.out
    assert json.loads(harness("show", "simple_plan", "--json").out)["plan"]["total_tasks"] == 4
    ended = harness("show", "simple_paln")
    assert ended.status == 2 and "did you mean simple_plan?" in ended.err


def test_validate(harness: Harness, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert harness("validate", "simple_plan", "error_plan").out == "valid simple_plan\nvalid error_plan\n"
    monkeypatch.setenv("RUSTLE_E2E_FIXTURES_DIR", str(own))
    (own / "execution_plans" / "mine.json").write_text("[")
    ended = harness("validate", "mine", "large_scale_plan")
    assert ended.status == 2
    assert "mine.json:1:2" in ended.err
    assert ended.out == "valid large_scale_plan\n"
    ended = harness("list")
    assert ended.status == 2 and "large_scale_plan" in ended.out and "mine.json:1:2" in ended.err


def test_generate(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSTLE_E2E_MAX_TEST_HOSTS", "5")
    assert len(json.loads(harness("generate", "--output", "-").out)["hosts"]) == 5
    ended = harness("generate", "--hosts", "3", "--tasks", "2", "--target", "aarch64-linux", "--output", "-")
    plan = json.loads(ended.out)
    assert plan["binary_deployments"][0]["compilation_requirements"]["target_arch"] == "aarch64"
    assert len(plan["hosts"]) == 3
    monkeypatch.setenv("HARNESS_PLATFORMS_DEFAULT_TARGETS", "aarch64-linux")
    plan = json.loads(harness("generate", "--output", "-").out)
    assert plan["binary_deployments"][0]["compilation_requirements"]["target_arch"] == "aarch64"
    ended = harness("generate", "--hosts", "3")
    assert ended.out.splitlines()[0] == "fixtures/execution_plans/large_scale_plan.json"
    assert harness("generate", "--hosts", "4").status == 2
    assert harness("generate", "--hosts", "4", "--force", "-o", tmp_path / "fixtures").status == 0
    assert harness("generate", "--target", "linux").status == 2
    assert harness("generate", "--hosts", "0").status == 2
    monkeypatch.setenv("RUSTLE_E2E_GENERATE_FIXTURES", "false")
    ended = harness("generate", "--output", "-")
    assert ended.status == 2
    assert "generate_large_scale is false (environment RUSTLE_E2E_GENERATE_FIXTURES)" in ended.err


def test_a_module_support_is_asked_for_by_name() -> None:
    """A compiler that honours only debug refuses the rest of a fixture by its path."""
    manager = TestFixtureManager()
    honours = Honours(
        modules={"debug": ModuleSupport(arguments=frozenset({"msg"}))}, keywords=frozenset({"when", "tags"})
    )
    with pytest.raises(InvalidInput) as caught:
        manager.validate_fixture(manager.load_fixture("simple_plan"), honours=honours)
    assert len(caught.value.problems) == 3
