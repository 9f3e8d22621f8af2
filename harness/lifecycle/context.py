"""What a step is given: the scenario, its instances, and where to write what happens."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.cancellation import Cancellation
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import Capability, RunId
from harness.errors import HarnessError
from harness.lifecycle.crew import Outcome, side_by_side
from harness.lifecycle.events import Observer
from harness.lifecycle.failures import all_done, raise_defects
from harness.lifecycle.faults import Faults
from harness.lifecycle.fleet import Fleet
from harness.lifecycle.journal import Journal
from harness.lifecycle.ledger import Ledger
from harness.lifecycle.workspace import Workspace
from harness.models.facts import Facts
from harness.models.runner import TaskRecord
from harness.models.scenario import Scenario
from harness.secrets import Mask
from harness.verify.conduct.catalogue import CHEAP

if TYPE_CHECKING:
    from harness.compile.base import Compiler
    from harness.lifecycle.binaries import Binaries
    from harness.lifecycle.plans import CheckedPlan
    from harness.verify.process import Standby

T = TypeVar("T")


_GRACE = 5.0
"""Seconds."""
_PATIENCE, _SHARE = 30.0, 0.3
"""Seconds for a host to answer, and of the time that is left."""


class DestroyPolicy(enum.StrEnum):
    """When `test` destroys what it made."""

    ALWAYS = "always"
    NEVER = "never"
    PASSING = "passing"


@dataclass(frozen=True)
class RunOptions:
    """What the command line says about a run. `platforms`: only these (all when empty). `force`: prepare again."""

    platforms: tuple[str, ...] = ()
    workers: int = 8
    destroy: DestroyPolicy = DestroyPolicy.ALWAYS
    force: bool = False
    arguments: tuple[str, ...] = ()
    """What stands behind `--`: for pytest, or for Ansible where that does the work."""
    lock_timeout: float = 600.0
    timeout: float | None = None
    """Seconds for the whole run; the scenario's own when None."""
    snapshots: bool = True
    """Whether what `prepare` makes is kept, and gone on from."""
    snapshot_max_age: float = 86400.0
    """Seconds; an older snapshot is made anew."""
    checks: frozenset[str] | None = None
    """Ids of the checks that need no expectations; the scenario's own when None."""
    sums: frozenset[str] = frozenset()
    """Files on the platforms whose content `observe` and `survey` look at, whatever has become of them."""


@dataclass(frozen=True)
class Context:
    """One run of one verb. `folder` is the run's own, for logs and what is collected."""

    scenario: Scenario
    verb: str
    options: RunOptions
    run: RunId
    folder: Path
    workspace: Workspace
    journal: Journal
    fleet: Fleet
    observer: Observer
    deadline: Deadline
    secrets: dict[str, str] = field(repr=False)
    mask: Mask = field(repr=False)
    faults: Faults
    ledger: Ledger = field(default_factory=Ledger)
    cancellation: Cancellation = field(default_factory=Cancellation)
    step_arguments: tuple[str, ...] = ()
    """What the sequence says after the step's name: `side_effect reboot.yml`."""
    steps: tuple[str, ...] = ()
    """What the run walks."""
    only: frozenset[str] | None = None
    """When set, these platforms alone are looked at."""
    plans: dict[Path, CheckedPlan] = field(default_factory=dict)
    """Those read so far in this run."""
    binaries: dict[Path, Binaries] = field(default_factory=dict)
    """What was compiled of them."""
    standby: Standby | None = None
    """A pytest that loads ahead of the verify step."""
    compiler: Compiler | None = None
    """The scenario's own; None where the run compiles nothing."""

    @property
    def hosts(self) -> list[str]:
        """The platforms that exist in this run."""
        return [
            name for name in self.fleet.specs if name in self.fleet.members and (self.only is None or name in self.only)
        ]

    @property
    def checks(self) -> frozenset[str]:
        """Ids of the checks of a run's conduct that are to be made."""
        wanted = self.options.checks if self.options.checks is not None else self.scenario.verifier.checks.wanted
        return wanted if wanted is not None else CHEAP

    @property
    def pytest_arguments(self) -> tuple[str, ...]:
        return () if self._arguments_are_ansibles else self.options.arguments

    @property
    def ansible_arguments(self) -> tuple[str, ...]:
        return self.options.arguments if self._arguments_are_ansibles else ()

    @property
    def _arguments_are_ansibles(self) -> bool:
        if self.scenario.provisioner.name != "ansible":
            return False
        return self.verb != "verify" or self.scenario.verifier.name == "ansible"

    def each(self, names: Sequence[str], work: Callable[[str], T], deadline: Deadline | None = None) -> Outcome[T]:
        """`work` on every host side by side, within the run's deadline unless another is given."""
        return side_by_side(
            names,
            work,
            workers=self.options.workers,
            deadline=deadline or self.deadline,
            cancellation=self.cancellation,
        )

    def connections(self, step: str) -> dict[str, Connection]:
        """A connection to every host, made ready where it is not yet. Raises StepFailed with all that failed."""
        return all_done(self._made_ready(step))

    def reached(self, step: str) -> Outcome[Connection]:
        """A connection to every host that answers, and why the others cannot be reached. One that does not answer is
        not waited for to the end: the others want their time."""
        outcome = self._made_ready(step)
        raise_defects(outcome)
        patience = min(_PATIENCE, self.deadline.remaining() * _SHARE)
        answered = self.each(list(outcome.done), lambda name: outcome.done[name].reach(patience))
        raise_defects(answered)
        for name, error in answered.failed.items():
            del outcome.done[name]
            outcome.failed[name] = error
        return outcome

    def _made_ready(self, step: str) -> Outcome[Connection]:
        def ready(name: str) -> Connection:
            started = time.monotonic()
            known = self.fleet.members[name].connection
            connection = known or self.fleet.make_ready(name, self.deadline)
            if known is None:
                took = time.monotonic() - started
                self.event(step, name, f"ready in {took * 1000:.0f} ms")
                self.time(step, name, "ready", took)
            return connection

        # A driver that waits until the deadline still has to say what it last saw.
        patient = Deadline(self.deadline.remaining() + _GRACE)
        return self.each(self.hosts, ready, patient)

    def facts(self, names: Sequence[str], connections: Mapping[str, Connection]) -> dict[str, Facts]:
        """What these hosts have told of themselves. Each is asked once a run, one that a driver of ours made once in
        its life: such a machine does not become another. Raises StepFailed (stage push)."""

        def told(name: str) -> Facts:
            member = self.fleet.members[name]
            if member.facts is not None:
                return member.facts
            member.facts = facts = connections[name].facts()
            if Capability.OWNED in member.site.capabilities:
                self.remember(lambda: self.journal.learned(member.run, self.scenario.name, name, facts))
            return facts

        return all_done(self.each(names, told), stage="push")

    def time(self, step: str, host: str, what: str, seconds: float) -> None:
        """For the history; a journal that cannot be written fails no run for it."""
        self.remember(lambda: self.journal.record_timing(self.run, step, host, what, seconds))

    def remember(self, write: Callable[[], None]) -> None:
        """Write to the journal what nothing depends on; where that fails (a full disk), say so once and go on."""
        try:
            write()
        except HarnessError as error:
            self.note(error.message)

    def event(self, step: str, host: str, message: str) -> None:
        self.observer.host_event(self.scenario.name, step, host, self.mask.text(message))

    def task(self, host: str, record: TaskRecord) -> None:
        self.observer.task_ended(self.scenario.name, host, record)

    def log_line(self, step: str, line: str) -> None:
        """Output of a tool: for the log, and for those who want to see everything."""
        self.observer.host_event(self.scenario.name, step, "", line)

    def note(self, message: str) -> None:
        """Something to know that says nothing about what is tested; once."""
        if message in self.ledger.notes:
            return
        self.ledger.notes.add(message)
        self.observer.warning(self.scenario.name, self.mask.text(message))

    def warn(self, message: str) -> None:
        """Something that may be wrong with what is tested: the report becomes a Warning."""
        text = self.mask.text(message)
        if text not in self.ledger.warnings:
            self.ledger.warnings.append(text)
            self.observer.warning(self.scenario.name, text)
