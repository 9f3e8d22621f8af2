"""What is known of one host's run: what it was to do, what it said, and what was seen of the machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from harness.deploy.records import Ending
from harness.machine import Entry, Machine
from harness.models.results import HostExecutionResult
from harness.models.runner import Payload, TaskRecord


@dataclass(frozen=True)
class Finding:
    """One thing that should not be. `check` is its kind's id; `observed` in words, whole: what was seen and where."""

    check: str
    task_id: str
    expected: str
    observed: str


@dataclass(frozen=True)
class Tree:
    """All files of a machine; or, where its driver knows them, those that were `written` since it was made."""

    files: Mapping[str, Entry]
    written: frozenset[str] | None


@dataclass(frozen=True, eq=False)
class Evidence:
    """`records` in the order in which they came. `before` and `after`: the machine around the run; None where nobody
    could look. `elapsed`: seconds between the two looks by our own clock."""

    host: str
    payload: Payload
    result: HostExecutionResult
    records: tuple[TaskRecord, ...] = ()
    endings: tuple[Ending, ...] = ()
    """Of each binary that ran there; more than one where the plan was run in parts."""
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    check_mode: bool = False
    before: Machine | None = None
    after: Machine | None = None
    elapsed: float = 0.0
    trees: tuple[Tree, Tree] | None = None
    """Before and after, where all files were asked for."""
    part: str = ""
    """Which run of the plan it was, where it was not the first: `second-run`."""
    overran: Collection[str] = ()
    """Tasks that ended after their `timeout` in the first run."""
    unseen: str = ""
    """Why there is no look at the machine."""
    alone: bool = True
    """Nothing but the runner changes the machine by itself: no init system, no network of others, no fault."""
    clock_set: bool = False
    """A fault has set the machine's clock during the run."""
    binary_leaks: tuple[str, ...] = ()
    """Names of secrets whose values stand in the binary."""
    file_leaks: tuple[str, ...] = ()
    """Files readable for everybody that were written by the run and hold a secret."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    touches: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By task id: patterns of paths that an opaque task is declared to touch."""
    allowed: Mapping[str, str] = field(default_factory=dict)
    """Patterns of what may change without a task, each with the reason."""

    @property
    def by_binary(self) -> bool:
        """One binary did all of it, from its first task to its last."""
        return self.result.deployment_method == "binary" and len(self.endings) == 1

    @property
    def trouble(self) -> str | None:
        """Why the records do not tell the whole run."""
        if any(decision.degraded for decision in self.result.decisions):
            return "the host was degraded to SSH in the midst of the run"
        if self.result.error is not None:
            return f"the run did not end by itself: {self.result.error.partition(chr(10))[0]}"
        if [record.task_id for record in self.records] != [task.task_id for task in self.result.task_results]:
            return "the records were not followed as they came"
        return None
