"""Plans made of small parts, written to real files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.compile.base import Honours
from harness.compile.honours import read_honours
from harness.data import data_dir
from harness.errors import InvalidInput
from harness.models.plan import Plan, Task
from harness.plan import read_plan

Json = dict[str, Any]


def task(task_id: Any, module: str = "debug", **fields: Any) -> Json:
    return {"task_id": task_id, "module": module, "args": {}, **fields}


def newer(*tasks: Json, hosts: list[str] | None = None, handlers: list[Json] | None = None, **fields: Any) -> Json:
    """A plan with one play of one batch."""
    hosts = ["web1", "web2"] if hosts is None else hosts
    play = {"play_id": "play-0", "batches": [{"batch_id": "b0", "tasks": list(tasks)}], "handlers": handlers or []}
    return {"metadata": {}, "plays": [play], "hosts": hosts, **fields}


def older(*tasks: Json, **inventory: Any) -> Json:
    stock = {"hosts": {"web1": {}, "web2": {}, "db1": {}}, "groups": {"web": {"hosts": ["web1", "web2"]}}, **inventory}
    return {"metadata": {"plan_id": "old"}, "tasks": list(tasks), "inventory": stock}


def old_task(task_id: str, module: str = "debug", **fields: Any) -> Json:
    return {"id": task_id, "module": module, "args": {}, "target_hosts": "All", **fields}


def tasks_of(plan: Plan) -> dict[str, Task]:
    return {found.task_id: found for play in plan.plays for batch in play.batches for found in batch.tasks}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a value (as JSON) or bytes to plan.json."""

    def write_plan(content: Any) -> Path:
        path = tmp_path / "plan.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write_plan


@pytest.fixture
def read(write: Callable[[Any], Path]) -> Callable[[Any], Plan]:
    return lambda content: read_plan(write(content))


@pytest.fixture
def faults(write: Callable[[Any], Path]) -> Callable[[Any], list[str]]:
    """What `read_plan` says of a plan that it refuses, without the file's name."""

    def refused(content: Any) -> list[str]:
        with pytest.raises(InvalidInput) as caught:
            read_plan(write(content))
        assert caught.value.problems
        return [str(problem).removeprefix("plan.json: ") for problem in caught.value.problems]

    return refused


@pytest.fixture(scope="session")
def honours() -> Honours:
    """What the reference runner honours, from its own list."""
    return read_honours(data_dir("runner") / "honours.json")
