"""A slice written as the plan of one binary, in the format that rustle-plan prints, all its fields there.

Field by field: src/execution/rustle_plan.rs of iepathos/rustle-deploy. What the format has no field for (`register`,
`loop`, `become` ...) stands beside the others under Ansible's name, as everywhere in the harness.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.compile.base import Honours
from harness.compile.targets import known_target
from harness.errors import CompileFailed
from harness.models.runner import Payload, PayloadPlay, PayloadTask
from harness.plan.fields import Wrong
from harness.plan.files import module_name

_NO_TIME = {"secs": 0, "nanos": 0}
_CREATED = "1970-01-01T00:00:00Z"
"""The same slice is always the same bytes."""
_OF_THE_FORMAT = {"task_id", "name", "module", "args", "when", "tags", "notify", "dependencies", "register_"}


@dataclass(frozen=True)
class Deployment:
    """What is said of the binary. `nonce` stands in the plan as the playbook's hash; `report_url`: where it reports."""

    target: str
    nonce: str
    report_url: str | None = None
    delete_itself: bool = False


def rustle_plan(payload: Payload, honours: Honours, deployment: Deployment) -> bytes:
    """The plan as JSON; arguments under the names and in the forms that the compiler's modules take.

    Raises CompileFailed for text that no UTF-8 can hold.
    """
    hosts = list(payload.run_on)
    plays = [_play(play, number, hosts, honours) for number, play in enumerate(payload.plays)]
    tasks = [task.task_id for play in payload.plays for task in play.tasks]
    plan = {
        "metadata": _metadata(payload, deployment.nonce),
        "plays": plays,
        "binary_deployments": [_deployment(payload, hosts, tasks, deployment)],
        "total_tasks": len(tasks),
        "estimated_duration": None,
        "estimated_compilation_time": None,
        "parallelism_score": 0.0,
        "network_efficiency_score": 0.0,
        "hosts": hosts,
        "hosts_vars": {host: payload.hosts[host] for host in hosts if payload.hosts.get(host)},
    }
    try:
        return json.dumps(plan, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise CompileFailed(f"the plan cannot be written as UTF-8: {error}") from error


def _metadata(payload: Payload, nonce: str) -> dict[str, Any]:
    return {
        "created_at": _CREATED,
        "rustle_plan_version": "0.1.0",
        "playbook_hash": nonce,
        "inventory_hash": "",
        "plan_id": payload.plan_id,
        "planning_options": {
            "limit": None,
            "tags": [],
            "skip_tags": [],
            "check_mode": payload.check_mode,
            "diff_mode": payload.diff,
            "forks": 1,
            "serial": None,
            "strategy": "BinaryOnly",
            "binary_threshold": 0,
            "force_binary": True,
            "force_ssh": False,
        },
    }


def _deployment(payload: Payload, hosts: list[str], tasks: list[str], deployment: Deployment) -> dict[str, Any]:
    target = known_target(deployment.target)
    modules = {module_name(task.module) for play in payload.plays for task in (*play.tasks, *play.handlers)}
    return {
        "deployment_id": "harness",
        "target_hosts": hosts,
        "binary_name": "runner",
        "tasks": tasks,
        "modules": sorted(modules),
        "embedded_data": {"execution_plan": "", "static_files": [], "variables": {}, "facts_required": []},
        "execution_mode": "Standalone" if deployment.report_url is None else "Controller",
        "estimated_size": 0,
        "compilation_requirements": {
            "target_arch": target.arch,
            "target_os": target.os,
            "rust_version": "1.70.0",
            "cross_compilation": False,
            "static_linking": True,
            "target_triple": target.triple,
        },
        "controller_endpoint": deployment.report_url,
        "cleanup_on_completion": deployment.delete_itself,
    }


def _play(play: PayloadPlay, number: int, hosts: list[str], honours: Honours) -> dict[str, Any]:
    batch = {
        "batch_id": f"batch-{number}",
        "hosts": hosts,
        "tasks": [_task(task, at, hosts, honours) for at, task in enumerate(play.tasks)],
        "parallel_groups": [],
        "dependencies": [],
        "estimated_duration": None,
    }
    return {
        "play_id": f"play-{number}",
        "name": play.name,
        "strategy": "Linear",
        "serial": None,
        "hosts": hosts,
        **({"vars": play.vars} if play.vars else {}),
        "batches": [batch],
        "handlers": [_handler(handler, at, honours) for at, handler in enumerate(play.handlers)],
        "estimated_duration": None,
    }


def _task(task: PayloadTask, at: int, hosts: list[str], honours: Honours) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        **_work(task, at, honours),
        "hosts": hosts,
        "dependencies": task.dependencies,
        "can_run_parallel": False,
        "estimated_duration": _NO_TIME,
        "risk_level": "Low",
    }


def _handler(handler: PayloadTask, at: int, honours: Honours) -> dict[str, Any]:
    return {"handler_id": handler.task_id, **_work(handler, at, honours)}


def _work(task: PayloadTask, at: int, honours: Honours) -> dict[str, Any]:
    keywords = task.model_dump(mode="json", by_alias=True, exclude=_OF_THE_FORMAT, exclude_defaults=True)
    return {
        "name": task.name,
        "module": module_name(task.module),
        "args": _arguments(task, honours),
        "conditions": [{"When": {"expression": _expression(one)}} for one in task.when],
        "tags": task.tags,
        "notify": task.notify,
        "execution_order": at,
        **({"register": task.register_} if task.register_ else {}),
        **keywords,
    }


def _arguments(task: PayloadTask, honours: Honours) -> Mapping[str, Any]:
    support = honours.modules.get(module_name(task.module))
    if support is None:
        return task.args
    found = {}
    for key, value in task.args.items():
        own = support.aliases.get(key, key)
        try:
            found[own] = support.readers[own](value) if own in support.readers else value
        except Wrong:
            found[own] = value  # unchecked (`validate: false`): what to make of it is the compiler's to say
    return found


def _expression(condition: Any) -> str:
    return str(condition).lower() if isinstance(condition, bool) else str(condition)
