"""What `harness bench` measured. Times in seconds, sizes in bytes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from harness.models.serde import Model


class Spread(Model):
    """Several measurements of one thing."""

    median: float
    minimum: float
    maximum: float
    values: list[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median=statistics.median(values), minimum=min(values), maximum=max(values), values=list(values))


class TaskCost(Model):
    """`seconds` is the median over the repeats: on the host for a binary, on the controller for Ansible."""

    host: str
    task_id: str
    seconds: float


class Passage(Model):
    """What went over the network in one run, as a proxy before each sshd counted it: bytes to the hosts (`up`) and
    from them, connections, and turns from asking to being answered."""

    connections: int
    bytes_up: int
    bytes_down: int
    round_trips: int


class Contestant(Model):
    """`wall`: from the first connection to the last host's result, without compiling. `process`: the whole process,
    from the command line to its end. `cpu`: the controller's, children included. `compile_warm`: what a run spends on
    a plan whose binary is in the store; `compile_cold` with an empty cache, toolchain's work included."""

    name: str
    wall: Spread
    process: Spread
    cpu: Spread
    passage: Passage | None = None
    tasks: list[TaskCost] = Field(default_factory=list)
    hosts: dict[str, float] = Field(default_factory=dict)
    """Each host's own time, median."""
    compile_warm: Spread | None = None
    compile_cold: float | None = None
    notes: list[str] = Field(default_factory=list)


class Comparison(Model):
    """`improvement_factor`: a baseline's wall time over ours (more than 1 is faster), the median of the repeats' own.
    `differences`: where the two did not do the same work, in words."""

    baseline: str
    improvement_factor: float
    with_warm_compile: float
    with_cold_compile: float | None = None
    whole_process: float
    same_work: bool
    differences: list[str] = Field(default_factory=list)


class BenchRound(Model):
    """One number of hosts. `contestants[0]` is the binary."""

    hosts: int
    contestants: list[Contestant]
    comparisons: list[Comparison]


class BenchReport(Model):
    """`improvement_factor` is the first baseline's, at the largest number of hosts."""

    scenario: str
    started: datetime
    repeat: int
    tasks: int
    processors: int
    system: str
    rounds: list[BenchRound]
    improvement_factor: float
    left_out: list[str] = Field(default_factory=list)
    """Baselines that were asked for and could not be had, each with its reason."""
