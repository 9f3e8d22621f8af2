"""Plans run on native platforms by one strategy or another, without a scenario around them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from harness import registry
from harness.cancellation import Cancellation
from harness.compile import host_target
from harness.compile.base import CompileSettings
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy import strategies
from harness.deploy.decide import Decision
from harness.deploy.known import decide_all
from harness.deploy.means import Deployed, HostWork, Means, RunArguments
from harness.lifecycle.crew import side_by_side
from harness.models.config import DeploymentStrategy
from harness.models.endpoint import Endpoint
from harness.models.results import CompilationResult
from harness.models.runner import Payload, TaskRecord
from harness.plan import read_plan, slices
from harness.secrets import Mask
from tests.sandboxes import sandboxes

T = TypeVar("T")


@dataclass(frozen=True)
class TestMeans(Means):
    __test__ = False
    told: list[tuple[str, str]] = field(default_factory=list)

    def each(self, hosts: Sequence[str], work: Callable[[str], T]) -> tuple[dict[str, T], dict[str, BaseException]]:
        outcome = side_by_side(hosts, work, workers=4, deadline=Deadline(120), cancellation=self.cancellation)
        return outcome.done, outcome.failed


def means(
    *,
    deadline: float = 90.0,
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    **run: Any,
) -> TestMeans:
    """`told` collects what would be shown to a person; nothing of it may hold a secret."""
    mask = Mask((secrets or {}).values())
    told: list[tuple[str, str]] = []
    lock = threading.Lock()

    def tell(host: str, text: str) -> None:
        with lock:
            told.append((host, text))

    def record(host: str, record: TaskRecord) -> None:
        tell(host, record.model_dump_json())

    return TestMeans(
        arguments=RunArguments(**run),
        deadline=Deadline(deadline),
        cancellation=Cancellation(),
        secrets=secrets or {},
        env=env or {},
        mask=mask.tree,
        on_event=tell,
        on_record=record,
        on_line=lambda line: tell("", line),
        told=told,
    )


@dataclass
class Hosts:
    """Open native platforms by name."""

    endpoints: Mapping[str, Endpoint]
    connections: Mapping[str, Connection]
    decisions: dict[str, Decision] = field(default_factory=dict)

    def run(
        self,
        plan: Path,
        strategy: DeploymentStrategy,
        tools: Means,
        *,
        change: Callable[[HostWork], HostWork] = lambda work: work,
        inventory: Any = None,
        groups: Mapping[str, list[str]] | None = None,
    ) -> Deployed:
        """The plan on its hosts; `change` may spoil a host's work before it begins."""
        compiler = registry.compiler("reference")
        payloads = slices(
            read_plan(plan),
            source=plan,
            inventory=inventory,
            groups=groups,
            secrets=list(tools.secrets),
            honours=compiler.honours(),
        )
        facts = {host: connection.facts() for host, connection in self.connections.items()}
        busy = {host: strategy for payload in payloads for host in payload.run_on}
        self.decisions = decide_all(payloads, busy, facts, compiler)
        with tools.deadline.aside(CompileSettings().timeout):  # as a run has it: the stub may have to be built
            works = [change(self._work(payload, host)) for payload in payloads for host in payload.run_on]
        return strategies.of(strategy.tag)(works, tools)

    def _work(self, payload: Payload, host: str) -> HostWork:
        decision = self.decisions[host]
        binary: CompilationResult | None = None
        if decision.method in ("binary", "hybrid"):
            binary = registry.compiler("reference").compile(payload, host_target(), CompileSettings())
        return HostWork(host, payload, decision, self.connections[host], self.endpoints[host], binary)


@contextmanager
def hosts(project: Path, *names: str) -> Iterator[Hosts]:
    with sandboxes(project, *names) as endpoints, ExitStack() as stack:
        connections = {
            name: stack.enter_context(open_connection(endpoint, name=name)) for name, endpoint in endpoints.items()
        }
        yield Hosts(endpoints, connections)
