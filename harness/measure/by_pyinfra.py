"""A baseline: the same plan as pyinfra's operations, in a process of pyinfra's own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.lifecycle.context import Context
from harness.lifecycle.plans import payloads_of, slices_of
from harness.lifecycle.steps.converge import checked_plan
from harness.lifecycle.steps.verify import verify
from harness.measure.by_binary import outcomes
from harness.measure.clocks import Sample, reading
from harness.measure.ground import BenchFailed, Ground, passage
from harness.measure.pyinfra_plan import Operation, translated
from harness.models.bench import Passage
from harness.models.endpoint import Ssh
from harness.models.results import HostExecutionResult
from harness.models.runner import Payload, TaskRecord

_CHILD = Path(__file__).with_name("pyinfra_child.py")


class ByPyinfra:
    name = "pyinfra"

    def check(self, ground: Ground) -> None:
        """Raises BenchFailed that names the tasks which pyinfra cannot be given."""
        for payload in slices_of(ground.scenario, ground.scenario.provisioner.secrets):
            for host in payload.run_on:
                translated(payload, host)

    def run(self, ground: Ground) -> Sample:
        """Raises BenchFailed."""
        with ground.opened() as context:
            return _measured(context).sample

    def count(self, ground: Ground) -> Passage:
        """The same through proxies; not timed."""
        with ground.opened(counting=True) as context:
            _measured(context)
            return passage(context)

    def verified(self, ground: Ground) -> None:
        """A run, and then the scenario's own tests over what it has done. Raises BenchFailed, StepFailed."""
        with ground.opened() as context:
            context.ledger.host_results = {result.host: result for result in _measured(context).results}
            verify(context)


def pyinfra() -> ByPyinfra | str:
    """Or why not."""
    if importlib.util.find_spec("pyinfra") is None:
        return "pyinfra is not installed (pip install pyinfra)"
    return ByPyinfra()


@dataclass(frozen=True)
class _Measured:
    sample: Sample
    results: list[HostExecutionResult] = field(default_factory=list)


def _measured(context: Context) -> _Measured:
    endpoints, work = _work(context)
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name, reading() as read:
        told = _run(Path(name), endpoints, work, context.scenario.timeout_seconds)
    if told["error"] is not None:
        raise BenchFailed(f"pyinfra did not come to its end: {told['error']}")
    modules = {task.task_id: task.module for one in _payloads(context) for play in one.plays for task in play.tasks}
    results = [_result(host, tasks, modules) for host, tasks in told["hosts"].items()]
    sample = Sample(
        wall=told["ended"] - told["started"],
        process=read.process,
        cpu=read.cpu,
        outcomes=outcomes(results),
        tasks={(one.host, task.task_id): task.execution_time for one in results for task in one.task_results},
        hosts={one.host: one.execution_time for one in results},
    )
    return _Measured(sample, results)


def _payloads(context: Context) -> list[Payload]:
    return payloads_of(context.scenario, checked_plan(context), context.hosts, list(context.secrets))


def _work(context: Context) -> tuple[dict[str, Ssh], dict[str, list[Operation]]]:
    checked = checked_plan(context)
    if checked.tags or checked.skip_tags:
        raise BenchFailed("pyinfra knows no tags", hint="leave pyinfra out of --against")
    context.connections("converge")  # waits until each is ready
    endpoints: dict[str, Ssh] = {}
    work: dict[str, list[Operation]] = {}
    for payload in _payloads(context):
        for host in payload.run_on:
            endpoint = context.fleet.members[host].endpoint
            if not isinstance(endpoint, Ssh):
                raise BenchFailed(f"{host} has no sshd", hint="set `connection: ssh` on the platform")
            if endpoint.use_config or endpoint.proxy_jump is not None:
                raise BenchFailed(
                    f"{host} is reached by the user's ssh config, which pyinfra reads its own way",
                    hint="measure platforms that a driver makes",
                )
            endpoints[host], work[host] = endpoint, translated(payload, host)
    return endpoints, work


def _run(folder: Path, endpoints: Mapping[str, Ssh], work: Mapping[str, list[Operation]], seconds: float) -> Any:
    """What the child has written. Raises BenchFailed."""
    job, result = folder / "job.json", folder / "result.json"
    with ExitStack() as stack:
        sockets = {host: stack.enter_context(_socket(endpoint)) for host, endpoint in endpoints.items()}
        hosts = {
            host: {
                "data": _data(endpoint),
                "socket": sockets[host],
                "operations": [asdict(operation) for operation in work[host]],
            }
            for host, endpoint in endpoints.items()
        }
        with os.fdopen(os.open(job, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"hosts": hosts}, file)
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(_CHILD), str(job), str(result)],
                pass_fds=[one for one in sockets.values() if one is not None],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
                timeout=seconds + 60,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise BenchFailed(f"pyinfra was not done after {seconds + 60:.0f} s") from None
    if done.returncode != 0 or not result.exists():
        raise BenchFailed("pyinfra failed, so nothing is measured", hint=done.stderr[-800:])
    return json.loads(result.read_text())


@contextmanager
def _socket(endpoint: Ssh) -> Iterator[int | None]:
    """A descriptor that leads to sshd where a command has to be asked for it: pyinfra has no way of its own to be
    passed one. It counts for the whole process, not between the first connection and the last result."""
    if sys.platform != "win32" and endpoint.proxy_command is not None:
        from harness.connections.ssh_proxy import Proxy
        from harness.connections.ssh_target import route

        target = route(endpoint)[-1]
        assert target.proxy_command is not None
        proxy = Proxy(target.proxy_command, passes_socket=target.proxy_passes_socket)
        try:
            yield proxy.socket.fileno()
        finally:
            proxy.close()
    else:
        yield None


def _data(endpoint: Ssh) -> dict[str, Any]:
    """pyinfra's names for it."""
    password = None
    if endpoint.password_env is not None:
        password = os.environ.get(endpoint.password_env)
    elif endpoint.password_file is not None:
        password = Path(endpoint.password_file).read_text(encoding="utf-8").rstrip("\n")
    data = {
        "ssh_hostname": endpoint.host,
        "ssh_port": endpoint.port,
        "ssh_user": endpoint.user,
        "ssh_key": endpoint.identities[0] if endpoint.identities else None,
        "ssh_password": password,
        "ssh_known_hosts_file": endpoint.known_hosts,
        "ssh_strict_host_key_checking": "yes",
        "ssh_config_file": os.devnull,
    }
    return {key: value for key, value in data.items() if value is not None}


def _result(host: str, tasks: list[Any], modules: Mapping[str, str]) -> HostExecutionResult:
    from harness.deploy.records import task_result

    records = [
        TaskRecord(
            task_id=task["task_id"],
            module=modules[task["task_id"]],
            status="failed" if not task["ok"] else "changed" if task["changed"] else "ok",
            start=datetime.fromtimestamp(task["start"], UTC).isoformat(),
            duration=task["seconds"],
        )
        for task in tasks
    ]
    return HostExecutionResult(
        host=host,
        task_results=[task_result(record) for record in records],
        deployment_method="ssh",
        execution_time=sum(record.duration for record in records),
    )
