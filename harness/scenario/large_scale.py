"""A fixture for many hosts, made to measure."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from typing import Any

from harness.errors import UsageError
from harness.models.config import (
    ArtifactCheck,
    ExpectedOutcome,
    FileContent,
    FileExists,
    FileMode,
    FileSize,
    TargetPlatform,
    TaskExpectation,
)
from harness.scenario.fixture import ComplexityLevel, TestFixture
from harness.scenario.outcomes import Outcomes

ROOT = "/opt/large-scale"
_ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}


def make(host_count: int, platforms: Sequence[TargetPlatform], tasks: int) -> TestFixture:
    """See `TestFixtureManager.generate_large_scale_fixture`."""
    if host_count < 1 or tasks < 1:
        raise UsageError("a fixture has at least one host and one task", hint="see --hosts and --tasks")
    if host_count > 100_000 or tasks > 100_000:
        raise UsageError("at most 100000 hosts and 100000 tasks are generated")
    targets = [(found.arch, found.os) for found in platforms] or [_own()]
    for _, system in targets:
        if system not in ("linux", "macos"):
            raise UsageError(f"the generated tasks are not for {system!r}", hint="linux and macos are possible")
    hosts = [f"host-{number:0{len(str(host_count))}d}" for number in range(1, host_count + 1)]
    made = [_task(number, hosts) for number in range(tasks)]
    outcomes = Outcomes(
        description=f"{host_count} hosts, {tasks} tasks each (generated)",
        complexity="Complex",
        category="large-scale",
        expected_outcomes=[ExpectedOutcome(host=host, tasks=list(_expected(made, host))) for host in hosts],
    )
    return TestFixture(
        name="large_scale_plan",
        execution_plan=_plan(hosts, made, targets),
        expected_hosts=hosts,
        expected_tasks=len(made),
        description=outcomes.description,
        complexity=ComplexityLevel.COMPLEX,
        outcomes=outcomes,
    )


def _own() -> tuple[str, str]:
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine), "linux"


def _task(number: int, hosts: list[str]) -> dict[str, Any]:
    """The first makes a folder for the others, which take turns at four kinds of work."""
    kind = ("copy", "lineinfile", "command", "debug")[(number - 1) % 4] if number else "file"
    path = f"{ROOT}/{number}"
    every: dict[str, dict[str, Any]] = {
        "file": {"path": ROOT, "state": "directory", "mode": "0755"},
        "copy": {"dest": path, "content": f"{{{{ inventory_hostname }}}} {number}\n", "mode": "0640"},
        "lineinfile": {"path": path, "line": f"number={number}", "create": True, "mode": "0644"},
        "command": {"argv": ["touch", path], "creates": path},
        "debug": {"msg": f"task {number} on {{{{ inventory_hostname }}}}"},
    }
    return {
        "task_id": f"task_{number}",
        "name": f"{kind.capitalize()} number {number}",
        "module": kind,
        "args": every[kind],
        "hosts": hosts,
        "dependencies": ["task_0"] if number else [],
        "conditions": [],
        "tags": [],
        "notify": [],
        "execution_order": number,
        "can_run_parallel": bool(number),
        "estimated_duration": {"secs": 0, "nanos": 10_000_000},
        "risk_level": "Low" if kind == "debug" else "Medium",
    }


def _expected(tasks: list[dict[str, Any]], host: str) -> Iterator[TaskExpectation]:
    for number, task in enumerate(tasks):
        path = f"{ROOT}/{number}" if number else ROOT
        content = f"{host} {number}\n"
        checks = {
            "file": [ArtifactCheck(path=path, check_type=FileMode(), expected_value="0755")],
            "copy": [
                ArtifactCheck(path=path, check_type=FileContent(), expected_value=content),
                ArtifactCheck(path=path, check_type=FileMode(), expected_value="0640"),
            ],
            "lineinfile": [
                ArtifactCheck(path=path, check_type=FileContent(regex=True), expected_value=f"^number={number}$")
            ],
            "command": [
                ArtifactCheck(path=path, check_type=FileExists(), expected_value="true"),
                ArtifactCheck(path=path, check_type=FileSize(min=0, max=0)),
            ],
            "debug": [],
        }[task["module"]]
        yield TaskExpectation(task_id=task["task_id"], artifacts=checks)


def _plan(hosts: list[str], tasks: list[dict[str, Any]], targets: list[tuple[str, str]]) -> dict[str, Any]:
    duration = {"secs": len(tasks) // 100, "nanos": len(tasks) % 100 * 10_000_000}
    return {
        "metadata": {
            "created_at": "2026-01-01T00:00:00Z",
            "rustle_plan_version": "0.1.0",
            "playbook_hash": "large-scale",
            "inventory_hash": f"{len(hosts)}-hosts",
            "planning_options": _options(),
        },
        "plays": [
            {
                "play_id": "play-0",
                "name": "The same on many hosts",
                "strategy": "BinaryHybrid",
                "serial": None,
                "hosts": hosts,
                "batches": [
                    {
                        "batch_id": "binary-batch",
                        "hosts": hosts,
                        "tasks": tasks,
                        "parallel_groups": [],
                        "dependencies": [],
                        "estimated_duration": None,
                    }
                ],
                "handlers": [],
                "estimated_duration": duration,
            }
        ],
        "binary_deployments": list(_deployments(hosts, tasks, targets)),
        "total_tasks": len(tasks),
        "estimated_duration": duration,
        "estimated_compilation_time": None,
        "parallelism_score": 1.0,
        "network_efficiency_score": 1.0,
        "hosts": hosts,
    }


def _options() -> dict[str, Any]:
    return {
        "limit": None,
        "tags": [],
        "skip_tags": [],
        "check_mode": False,
        "diff_mode": False,
        "forks": 50,
        "serial": None,
        "strategy": "BinaryHybrid",
        "binary_threshold": 5,
        "force_binary": False,
        "force_ssh": False,
    }


def _deployments(
    hosts: list[str], tasks: list[dict[str, Any]], targets: list[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    for number, (arch, system) in enumerate(targets):
        mine = hosts[number :: len(targets)]
        if mine:
            yield {
                "deployment_id": f"group_{number}",
                "target_hosts": mine,
                "binary_name": f"runner-group_{number}",
                "tasks": [task["task_id"] for task in tasks],
                "modules": sorted({task["module"] for task in tasks}),
                "embedded_data": {"execution_plan": "", "static_files": [], "variables": {}, "facts_required": []},
                "execution_mode": "Standalone",
                "estimated_size": 2_000_000,
                "compilation_requirements": {
                    "target_arch": arch,
                    "target_os": system,
                    "rust_version": "1.70.0",
                    "cross_compilation": len(targets) > 1,
                    "static_linking": True,
                },
            }
