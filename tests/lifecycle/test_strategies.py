"""The strategies from end to end: this repository's scenarios."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.compile.reference import ReferenceCompiler
from harness.models.results import Fail, TestReport, Warning
from tests.projects import Project, task
from tests.shipped import copy_scenarios

pytestmark = [pytest.mark.ansible, pytest.mark.sandbox, pytest.mark.ssh, pytest.mark.cargo]


def _reports(path: Path) -> dict[str, TestReport]:
    return {one["scenario"]: TestReport.model_validate(one) for one in json.loads(path.read_text())}


def test_the_scenarios_pass(project: Project) -> None:
    copy_scenarios(project.folder)
    output = project.folder / "reports.json"
    ended = project.run("test", "-s", "strategies-*", "--strict", "--output", str(output))
    reports = _reports(output)
    verdicts = {name: report.validation_report.overall_result for name, report in reports.items()}
    assert not [name for name, verdict in verdicts.items() if isinstance(verdict, Fail)], ended.text
    assert ended.code == 1, "a host that was degraded is a failure with --strict"
    methods = {name: report.validation_report.deployment_validation.methods for name, report in reports.items()}
    assert methods == {
        "strategies-binary": {"node1": "binary", "node2": "binary"},
        "strategies-fallback": {"node1": "binary", "node2": "ssh"},
        "strategies-force-ssh": {"node1": "ssh", "node2": "binary"},
        "strategies-hybrid": {"node1": "hybrid"},
    }
    told = verdicts["strategies-fallback"]
    assert isinstance(told, Warning)
    assert "node2 was degraded to ssh" in told.issues[0]
    assert "Permission denied" in told.issues[0]
    execution = reports["strategies-force-ssh"].execution_result
    assert execution is not None
    routes = {host.host: host.decisions[0].route for host in execution.host_results}
    assert routes == {"node1": "Ansible over ssh", "node2": None}
    assert execution.deployment_strategy_used.tag == "ForceSSH"


def test_what_no_strategy_can_do_is_refused_before_anything_is_made(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task("a", "true"), {**task("b", ""), "module": "nonesuch.at_all.thing", "args": {}}]
    project.scenario(tasks=[{**task("c", ""), "module": "coppy", "args": {}}], provisioner={"strategy": "hybrid"})
    assert project.run("test").text.count("tasks[0].module: the module 'coppy'") == 1
    project.scenario(tasks=tasks, provisioner={"strategy": "hybrid"})
    ended = project.run("test")
    assert ended.code == 2
    assert "tasks[1].module: the module 'nonesuch.at_all.thing' is known neither to the compiler" in ended.text
    assert "ansible-galaxy collection install nonesuch.at_all" in ended.text
    project.scenario(tasks=[tasks[0], {**tasks[1], "module": "ping"}], provisioner={"strategy": "hybrid"})
    project.passes("syntax")
    honoured = ReferenceCompiler().honours()
    monkeypatch.setattr(ReferenceCompiler, "honours", lambda self: replace(honoured, parts=False))
    ended = project.run("test")
    assert ended.code == 2
    assert "runners of the compiler reference cannot run a plan in parts" in ended.text
    assert "strategies that work: ssh-fallback" in ended.text
    assert "create" not in ended.text
    project.scenario(tasks=[tasks[0], {**tasks[1], "module": "ping"}], provisioner={"strategy": "ssh-fallback"})
    project.passes("syntax")
