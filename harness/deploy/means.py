"""What a strategy is given: the hosts' work, and what it may use to do it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.cancellation import Cancellation
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy.decide import Decision
from harness.deploy.records import Ending
from harness.models.endpoint import Endpoint
from harness.models.results import CompilationResult, HostExecutionResult
from harness.models.runner import Payload, TaskRecord

T = TypeVar("T")


@dataclass(frozen=True)
class RunArguments:
    """How a plan is run, whoever runs it."""

    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    check: bool = False

    def of_runner(self) -> tuple[str, ...]:
        """As options of a runner's command line."""
        found: list[str] = []
        if self.tags:
            found += ["--tags", ",".join(self.tags)]
        if self.skip_tags:
            found += ["--skip-tags", ",".join(self.skip_tags)]
        return (*found, "--check") if self.check else tuple(found)


@dataclass(frozen=True)
class HostWork:
    """One host's slice of the plan, what was decided for it, and its binary where it has one."""

    host: str
    payload: Payload
    decision: Decision
    connection: Connection
    endpoint: Endpoint
    binary: CompilationResult | None = None
    failure: str | None = None
    """Why it has no binary where the decision wanted one."""
    spent: float = 0.0
    """Seconds that were spent on the binary that it has not."""
    parts: bool = True
    """The compiler's runners tell what tasks leave to later ones, and run plans in parts."""


@dataclass(frozen=True)
class Deployed:
    """What became of several hosts: each is in exactly one of the two."""

    results: dict[str, HostExecutionResult]
    failed: dict[str, BaseException]


@dataclass(frozen=True)
class Means(ABC):
    """`mask` hides secrets in a JSON value, `secrets` has all of the scenario's."""

    arguments: RunArguments
    deadline: Deadline
    cancellation: Cancellation
    secrets: Mapping[str, str] = field(repr=False)
    env: Mapping[str, str]
    mask: Callable[[Any], Any]
    on_event: Callable[[str, str], None]
    """Host and message."""
    on_record: Callable[[str, TaskRecord], None]
    on_line: Callable[[str], None]
    """What a tool prints."""
    again: bool = True
    """Whether the run does the plan once more on these very hosts."""
    on_pushing: Callable[[str], None] = lambda host: None
    """A binary is about to travel to this host."""
    on_ended: Callable[[str, Ending], None] = lambda host, ending: None
    """A runner has ended on this host."""
    on_start: Callable[[str, str], None] = lambda host, task_id: None
    """A task has begun."""

    @abstractmethod
    def each(self, hosts: Sequence[str], work: Callable[[str], T]) -> tuple[dict[str, T], dict[str, BaseException]]:
        """`work` on every host side by side: what it returned, and what it raised."""
