"""What a run has brought forth so far; the report is made of it at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.models.results import CompilationResult, HostExecutionResult, SnapshotUse, StepResult
from harness.models.verification import VerifyOutcome

if TYPE_CHECKING:
    from harness.lifecycle.snapshots.choose import Planned


@dataclass
class Ledger:
    """`execution_time`, seconds, from the first push of a converge to its last host's end."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    steps: list[StepResult] = field(default_factory=list)
    compilations: list[CompilationResult] = field(default_factory=list)
    host_results: dict[str, HostExecutionResult] = field(default_factory=dict)
    execution_time: float = 0.0
    pushes: int = 0
    bytes_pushed: int = 0
    verification: VerifyOutcome | None = None
    warnings: list[str] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)
    expected_failure: str | None = None
    """The stage that failed as the scenario expected."""
    nothing_ran: bool = False
    """A converge by Ansible found no task to run."""
    interrupted: bool = False
    planned: Planned | None = None
    """The snapshot that this run goes on from, or will once it has made it; None where there is to be none."""
    snapshots: dict[str, SnapshotUse] = field(default_factory=dict)
    """What each platform went on from."""
