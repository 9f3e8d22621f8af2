"""What a run has brought forth so far; the report is made of it at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.models.results import CheckResult, CompilationResult, HostExecutionResult, SnapshotUse, StepResult
from harness.models.verification import VerifyOutcome

if TYPE_CHECKING:
    from harness.connections.traffic import Passed
    from harness.lifecycle.observed import Observed
    from harness.lifecycle.snapshots.shelf import Planned


@dataclass
class Measured:
    """What was measured beside the run itself, in seconds: `runs` and each host's of repeats, `baseline` by Ansible."""

    runs: list[float] = field(default_factory=list)
    hosts: dict[str, list[float]] = field(default_factory=dict)
    baseline: list[float] = field(default_factory=list)
    repeats: int = 0


@dataclass
class Ledger:
    """`execution_time`, seconds, from the first push of a converge to its last host's end; `reach_time` before that,
    from the first connection."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    steps: list[StepResult] = field(default_factory=list)
    compilations: list[CompilationResult] = field(default_factory=list)
    host_results: dict[str, HostExecutionResult] = field(default_factory=dict)
    execution_time: float = 0.0
    reach_time: float = 0.0
    measured: Measured = field(default_factory=Measured)
    no_baseline: str | None = None
    """Why there is none where one was asked for."""
    passed: list[Passed | None] = field(default_factory=list)
    """Over each host's connection while its plan ran; None where nobody knows."""
    overran: dict[str, set[str]] = field(default_factory=dict)
    """By host, tasks that ended after their `timeout` when the plan ran first."""
    verification: VerifyOutcome | None = None
    conduct: list[CheckResult] = field(default_factory=list)
    """Of the checks that need no expectations, of every run of the plan."""
    warnings: list[str] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)
    expected_failure: str | None = None
    """The stage that failed as the scenario expected."""
    nothing_ran: bool = False
    """A converge by Ansible found no task to run."""
    interrupted: bool = False
    planned: Planned | None = None
    """The snapshot that this run goes on from, or will once it has made it; None where there is to be none."""
    observed: dict[str, Observed] = field(default_factory=dict)
    """What was seen of each platform around the plan, where it was looked at."""
    snapshots: dict[str, SnapshotUse] = field(default_factory=dict)
    """What each platform went on from."""
    screens: dict[str, str] = field(default_factory=dict)
    """Pictures of what the platforms' screens showed when something had failed."""

    @property
    def factors(self) -> list[float]:
        """How much faster each run was than Ansible's beside it, the first connection included."""
        ours = [self.reach_time + self.execution_time, *self.measured.runs]
        return [theirs / mine for mine, theirs in zip(ours, self.measured.baseline, strict=False) if mine > 0]
