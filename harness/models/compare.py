"""What `harness compare` found. Times in seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from harness.models.serde import Model

Kind = Literal["run", "task", "file", "package", "service", "process", "port", "user", "group"]
"""`run`: a host's run as a whole, `task` what was told of a task; the others are things on the machine."""


class Difference(Model):
    """Where two sides are not alike on one host. `name`: of the task, the path, the package ...; `field`: what of it.
    A value is None where there is none. `detail`: the content's difference, line by line, where it could be shown."""

    host: str
    kind: Kind
    name: str
    field: str
    first: str | None
    second: str | None
    detail: str = ""


class Allowed(Model):
    """A difference that the scenario's allow-list takes in, and why."""

    difference: Difference
    reason: str


class LeftOut(Model):
    """What one rule kept from being a difference, and why it does. Long values are cut."""

    rule: str
    reason: str
    differences: list[Difference]


class TaskTimes(Model):
    """They are shown, and decide nothing. None: it did not run there."""

    host: str
    task_id: str
    first: float | None
    second: float | None


class HostSide(Model):
    """One host on one side. `method`: binary, ssh or hybrid; `machine`: its state was looked at."""

    host: str
    method: str
    tasks: int
    seconds: float
    machine: bool


class Side(Model):
    """One way of running the plan. `error`: why it did not come to an end that could be compared."""

    name: str
    compiler: str
    strategies: dict[str, str]
    run: str
    """The run's id: `.harness/runs/RUN` has its logs."""
    hosts: list[HostSide] = Field(default_factory=list)
    seconds: float = 0.0
    """From the first push to the last host's end."""
    error: str | None = None


class Comparison(Model):
    """The first side against one other. `compared`: tasks that were compared, over all hosts."""

    first: str
    second: str
    compared: int
    differences: list[Difference] = Field(default_factory=list)
    allowed: list[Allowed] = Field(default_factory=list)
    left_out: list[LeftOut] = Field(default_factory=list)
    times: list[TaskTimes] = Field(default_factory=list)


Verdict = Literal["same", "different", "error", "nothing"]
"""`error` where a side could not be run, or a host's run came to its end on no side; `nothing` where no task ran."""


class CompareReport(Model):
    """Each other side against the first; no comparison with one that could not be run. `broken`: hosts whose run came
    to its end on no side, so that nothing is proven of them."""

    scenario: str
    plan: str
    started: datetime
    verdict: Verdict
    sides: list[Side]
    comparisons: list[Comparison] = Field(default_factory=list)
    broken: dict[str, str] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
