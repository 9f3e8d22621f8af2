"""Projects on the fake driver, and the command line as a person runs it, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.drivers.base import Driver, InstanceRecord
from harness.lifecycle.journal import InstanceRow, Journal
from harness.models.results import TestReport

LIGHT = ["cleanup", "destroy", "syntax", "create", "prepare", "converge", "side_effect", "cleanup", "destroy"]
"""Molecule's sequence without its two slow steps, idempotence and verify."""

TEST = "def test_it_answers(host):\n    assert host.run('true').rc == 0\n"


def task(task_id: str, command: str, hosts: Sequence[str] = ("node1",), **keywords: Any) -> dict[str, Any]:
    """A shell task that says it changes nothing, unless told otherwise."""
    body = {"task_id": task_id, "name": task_id, "module": "shell", "args": {"_raw_params": command}}
    return {**body, "hosts": list(hosts), "changed_when": False, **keywords}


def plan(*tasks: Mapping[str, Any]) -> dict[str, Any]:
    hosts = sorted({host for one in tasks for host in one["hosts"]})
    return {
        "metadata": {"created_at": "2026-01-01T00:00:00Z", "rustle_plan_version": "0.1.0"},
        "plays": [{"play_id": "p", "name": "p", "batches": [{"batch_id": "b", "hosts": hosts, "tasks": list(tasks)}]}],
        "hosts": hosts,
        "total_tasks": len(tasks),
    }


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Project:
    """A project folder; `scenario` writes one, `run` calls `harness` in it."""

    folder: Path
    call: Callable[[Sequence[str]], Outcome]

    def scenario(
        self,
        name: str = "default",
        *,
        tasks: Sequence[Mapping[str, Any]] | None = None,
        platforms: Sequence[Mapping[str, Any]] = ({"name": "node1"},),
        test: str | None = TEST,
        provisioner: Mapping[str, Any] | None = None,
        driver: str = "fake",
        files: Mapping[str, str] | None = None,
        full: bool = False,
        **keys: Any,
    ) -> Path:
        """`full`: `test` walks idempotence and verify, too."""
        folder = self.folder / "molecule" / name
        folder.mkdir(parents=True, exist_ok=True)
        names = [str(platform["name"]) for platform in platforms]
        body = plan(*(tasks if tasks is not None else [task("hello", "echo hello", names)]))
        (folder / "plan.json").write_text(json.dumps(body))
        document = {
            "driver": {"name": driver},
            "platforms": [dict(platform) for platform in platforms],
            "provisioner": {"name": "binary", "plan": "plan.json", **(provisioner or {})},
            "verifier": {"name": "testinfra", "derive_from_plan": False},
            **keys,
        }
        if not full:
            document["scenario"] = {"test_sequence": LIGHT, **document.get("scenario", {})}
        (folder / "molecule.yml").write_text(yaml.safe_dump(document))
        if test is not None:
            (folder / "tests").mkdir(exist_ok=True)
            (folder / "tests" / "test_it.py").write_text(test)
        for file, text in (files or {}).items():
            (folder / file).write_text(text)
        return folder

    def run(self, *arguments: str) -> Outcome:
        return self.call(arguments)

    def passes(self, *arguments: str) -> Outcome:
        outcome = self.run(*arguments)
        assert outcome.code == 0, outcome.text
        return outcome

    def report(self) -> TestReport:
        """Of the latest run."""
        return TestReport.model_validate_json((self.folder / ".harness/runs/latest/report.json").read_text())

    def steps(self) -> dict[str, str]:
        """The latest run's steps; of one that is walked twice, the last."""
        return {step.step: step.outcome for step in self.report().steps}

    def instances(self) -> list[InstanceRow]:
        with closing(Journal.open_for_reading(self.folder / ".harness" / "harness.db")) as journal:
            return journal.instances()


@pytest.fixture(scope="session")
def _runner() -> None:
    """The runner is built before anything is timed or interrupted."""
    from harness import registry
    from harness.compile import host_target
    from harness.compile.base import CompileSettings
    from harness.models.runner import Payload, PayloadPlay, PayloadTask

    tasks = [PayloadTask(task_id="t", module="debug", args={"msg": "x"})]
    payload = Payload(plan_id="p", run_on=["node1"], hosts={"node1": {}}, plays=[PayloadPlay(tasks=tasks)])
    registry.compiler("reference").compile(payload, host_target(), CompileSettings())


@pytest.fixture(autouse=True)
def _built_runner(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("cargo"):
        request.getfixturevalue("_runner")


@pytest.fixture
def fake_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fake"
    monkeypatch.setenv("HARNESS_FAKE", "1")
    monkeypatch.setenv("HARNESS_FAKE_DIR", str(folder))
    # What they keep would lie in the user's own cache folder. Tests of snapshots have one of their own.
    monkeypatch.setenv("HARNESS_SNAPSHOTS_ENABLED", "false")
    return folder


@pytest.fixture
def project(
    tmp_path: Path, fake_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Project:
    from harness.cli import group
    from harness.cli.outcome import run

    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    _see_only_ours(tmp_path, monkeypatch)

    def call(arguments: Sequence[str]) -> Outcome:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        code = run(group)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return Project(folder, call)


def _see_only_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run beside these hold no run's lock for what they make: `destroy --orphans` would take it."""
    from harness.lifecycle import orphans

    honest = orphans.loadable_drivers

    def ours(names: Sequence[str] | None = None) -> Iterator[tuple[str, Driver | None, str]]:
        for name, driver, why in honest(names):
            if driver is not None:
                monkeypatch.setattr(driver, "instances", partial(_below, folder, driver.instances))
            yield name, driver, why

    monkeypatch.setattr(orphans, "loadable_drivers", ours)


def _below(folder: Path, instances: Callable[[], list[InstanceRecord]]) -> list[InstanceRecord]:
    return [record for record in instances() if record.project.is_relative_to(folder)]


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """`harness` in a process of its own, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=project.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


def existing(fake_folder: Path) -> list[str]:
    """The instances that the fake system holds."""
    return sorted(path.name for path in (fake_folder / "instances").glob("*") if path.name[0] != ".")
