# ruff: noqa: E402 (gevent wants to be first)
"""pyinfra in a process of its own, since gevent changes the whole of it: `python pyinfra_child.py JOB RESULT`.

JOB is JSON: `hosts`, by name `data` (pyinfra's host data), `socket` (an inherited descriptor that leads to its sshd,
or null) and `operations` (of `pyinfra_plan`). RESULT is written: `started` and `ended` (seconds since 1970), `error`,
and by host `tasks` with `task_id`, `start`, `seconds`, `ok`, `changed`. Nothing of the harness is imported.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import base64
import importlib
import io
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

from pyinfra.api import BaseStateCallback, Config, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops


class Watch(BaseStateCallback):  # type: ignore[misc]
    """When each operation began and ended, by host and the operation's hash."""

    def __init__(self) -> None:
        self.times: dict[tuple[str, str], list[float]] = {}

    def operation_host_start(self, state: Any, host: Any, op_hash: str) -> None:
        self.times[host.name, op_hash] = [time.time()]

    def operation_host_success(self, state: Any, host: Any, op_hash: str, *_: int) -> None:
        self.times[host.name, op_hash].append(time.time())

    operation_host_error = operation_host_success


def inventory_of(hosts: dict[str, Any]) -> Any:
    found = []
    for name, host in hosts.items():
        data = dict(host["data"])
        if host["socket"] is not None:
            data["ssh_paramiko_connect_kwargs"] = {"sock": socket.socket(fileno=host["socket"])}
        found.append((name, data))
    return Inventory((found, {}))


def operation_of(wanted: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    module, _, name = wanted["function"].partition(".")
    arguments = dict(wanted["arguments"])
    if "content" in arguments:
        arguments["src"] = io.BytesIO(base64.b64decode(arguments.pop("content")))
    return getattr(importlib.import_module(f"pyinfra.operations.{module}"), name), arguments


def deploy(hosts: dict[str, Any]) -> dict[str, Any]:
    # As many at a time as there are hosts, no look ahead at what would change, and no host waits for another.
    state = State(inventory_of(hosts), Config(PARALLEL=len(hosts)), check_for_changes=False)
    watch = Watch()
    state.add_callback_handler(watch)
    added: list[tuple[str, str, str, Any]] = []
    error = None
    started = time.time()
    try:
        connect_all(state)
        for host in state.inventory.get_active_hosts():
            for wanted in hosts[host.name]["operations"]:
                function, arguments = operation_of(wanted)
                metas = add_op(state, function, host=host, name=wanted["task_id"], **arguments)
                added.append((host.name, wanted["task_id"], host.op_hash_order[-1], metas[host]))
        run_ops(state, no_wait=True)
    except PyinfraError as failure:
        error = str(failure)
    ended = time.time()
    disconnect_all(state)
    found: dict[str, Any] = {name: {} for name in hosts}
    for name, task_id, op_hash, meta in added:
        times = watch.times.get((name, op_hash))
        if times is None:
            continue
        ok = meta.is_complete() and meta.did_succeed()
        task = found[name].setdefault(
            task_id, {"task_id": task_id, "start": times[0], "seconds": 0.0, "ok": True, "changed": False}
        )
        task["seconds"] += times[-1] - times[0]
        task["ok"] = task["ok"] and ok
        task["changed"] = task["changed"] or (ok and meta.did_change())
    tasks = {name: list(by_id.values()) for name, by_id in found.items()}
    return {"started": started, "ended": ended, "error": error, "hosts": tasks}


if __name__ == "__main__":
    job, result = map(Path, sys.argv[1:])
    result.write_text(json.dumps(deploy(json.loads(job.read_text())["hosts"])))
