"""`pytest --hosts=harness://...` by a user, against instances that `harness create` keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.registry import driver

SCENARIO = """
driver: {name: native}
platforms:
  - {name: node1, groups: [web]}
  - {name: node2, groups: [web, db]}
provisioner: {name: binary, plan: plan.json}
"""
PLAN = """{"metadata": {"created_at": "2026-01-01T00:00:00Z"}, "plays": [], "hosts": ["node1"], "total_tasks": 0,
"binary_deployments": []}"""
TESTS = """
def test_name(host):
    assert host.check_output("hostname") == host.backend.get_hostname()
"""


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def user_pytest(project: Path, hosts: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q")
    return run(project, "pytest", *options, f"--hosts={hosts}", *arguments, "test_user.py")


def make_project(folder: Path) -> Path:
    scenario = folder / "molecule" / "default"
    scenario.mkdir(parents=True)
    (scenario / "molecule.yml").write_text(SCENARIO)
    (scenario / "plan.json").write_text(PLAN)
    (folder / "test_user.py").write_text(TESTS)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two platforms that exist and are kept."""
    problems = driver("native").diagnose()
    if problems:
        pytest.skip(f"no sandbox here: {problems[0]}")
    made = make_project(tmp_path_factory.mktemp("plugin"))
    created = run(made, "harness", "create")
    assert created.returncode == 0, created.stdout + created.stderr
    try:
        yield made
    finally:
        run(made, "harness", "destroy")


@pytest.mark.sandbox
def test_platform_group_and_scenario(project: Path) -> None:
    done = user_pytest(project, "harness://default")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    done = user_pytest(project, "harness://db.default?sudo=true,harness://node1.default", "-vv")
    assert done.returncode == 0, done.stdout
    for node in ("node1", "node2"):
        assert f"test_name[harness://{node}.default] PASSED" in done.stdout


@pytest.mark.sandbox
def test_names_that_mean_nothing(project: Path) -> None:
    for hosts, words in {
        "harness://node3.default": "has no platform or group 'node3'",
        "harness://node1.nowhere": "there is no such scenario",
    }.items():
        done = user_pytest(project, hosts)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert words in done.stderr
        assert "hint:" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.sandbox
def test_an_instance_that_has_gone(tmp_path: Path) -> None:
    native = driver("native")
    problems = native.diagnose()
    if problems:
        pytest.skip(f"no sandbox here: {problems[0]}")
    made = make_project(tmp_path)
    assert run(made, "harness", "create").returncode == 0
    for record in native.instances():
        if record.project == made:
            native.reap(record)
    done = user_pytest(made, "harness://default")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "do not exist" in done.stderr
    assert "harness converge -s default" in done.stderr


def test_not_created(tmp_path: Path) -> None:
    done = user_pytest(make_project(tmp_path), "harness://node1.default")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: the platforms of scenario 'default' do not exist" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / ".harness").exists()


def test_the_plugin_costs_nobody_anything(tmp_path: Path) -> None:
    """Any pytest run of this environment loads it: nothing of ours but the plugin itself may come with it."""
    (tmp_path / "test_user.py").write_text(
        "import sys\n"
        "def test_a():\n"
        "    ours = [name for name in sys.modules if name.startswith('harness') or name == 'pydantic']\n"
        "    assert sorted(ours) == ['harness', 'harness.verify', 'harness.verify.plugin']\n"
    )
    done = run(tmp_path, "pytest", "-p", "no:cacheprovider", "-q", "test_user.py")
    assert done.returncode == 0, done.stdout
    without = run(tmp_path, "pytest", "-p", "no:cacheprovider", "-p", "no:pytest11.testinfra", "-q", "--co", "-qq")
    assert without.returncode == 0, without.stdout + without.stderr
