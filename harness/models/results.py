"""The results and the report of specification 110, field for field; fields of ours stand beside them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.models.config import DeploymentStrategy, E2ETestConfig, TargetPlatform
from harness.models.serde import Duration, ExternallyTagged, Model, Variant

ResultsBy = Literal["runner", "report", "exit-status"]
"""How a binary tells what it did: lines on stdout (docs/runner-contract.md), one HTTP report at its end, or by its exit
status alone (docs/compilers.md)."""


class CompilationResult(Model):
    """`binary_size` in bytes. What follows `cache_hit` is ours; `target` is a triple."""

    binary_path: Path
    compilation_time: Duration
    binary_size: int
    target_platforms: list[TargetPlatform] = Field(default_factory=list)
    cache_hit: bool
    sha256: str
    target: str
    results: ResultsBy = "runner"
    report_url: str | None = None
    """Where the binary posts its report: an address on the platform's own loopback that is compiled in."""
    environment: dict[str, str] = Field(default_factory=dict)
    """What it is to run with; the scenario's own words win."""


class Success(Variant):
    tag: ClassVar[str] = "Success"


class Failed(Variant):
    tag: ClassVar[str] = "Failed"
    error: str


class Skipped(Variant):
    tag: ClassVar[str] = "Skipped"
    reason: str


TaskExecutionStatus = Annotated[Success | Failed | Skipped, ExternallyTagged(Success, Failed, Skipped)]


class TaskExecutionResult(Model):
    """`changed`, `rc`, `module`, `name`, `ignored` are ours; a runner's ok and changed are both `Success`."""

    task_id: str
    status: TaskExecutionStatus
    output: str = ""
    execution_time: Duration = 0.0
    artifacts_created: list[str] = Field(default_factory=list)
    changed: bool = False
    rc: int | None = None
    name: str = ""
    module: str = ""
    stderr: str = ""
    ignored: bool = False
    handler: bool = False


class DecisionRecord(Model):
    """How a host was to get its tasks done, and why. A host that degrades has a further one, with `degraded`: what
    had been done by then (`finished` task ids) and what it had cost (`spent`)."""

    method: str
    reasons: list[str]
    degraded: bool = False
    finished: list[str] = Field(default_factory=list)
    spent: Duration = 0.0
    route: str | None = None
    """How what is not a binary travelled: Ansible over what."""


class HostExecutionResult(Model):
    """`error` and `decisions` are ours. `deployment_method`: binary, ssh or hybrid."""

    host: str
    task_results: list[TaskExecutionResult]
    deployment_method: str
    execution_time: Duration
    error: str | None = None
    """Why the host as a whole failed (the runner did not start, the transport broke); None when it ran to its end."""
    results: ResultsBy = "runner"
    """Who told the results. By an exit status nobody knows what changed, nor whether a conditional task ran: that is
    then said of no task."""
    decisions: list[DecisionRecord] = Field(default_factory=list)


class PerformanceMetrics(Model):
    """While the plan ran, over our connections to all hosts: `network_requests`, turns from asking to being answered;
    `data_transferred`, bytes sent and received, without what a transport adds to them (`harness bench` counts that,
    too). None where Ansible was at work, over connections of its own."""

    total_execution_time: Duration
    ssh_baseline_time: Duration | None = None
    improvement_factor: float | None = None
    network_requests: int | None = None
    data_transferred: int | None = None


class ExecutionResult(Model):
    deployment_strategy_used: DeploymentStrategy
    execution_time: Duration
    host_results: list[HostExecutionResult]
    performance_metrics: PerformanceMetrics


class Pass(Variant):
    tag: ClassVar[str] = "Pass"


class Fail(Variant):
    tag: ClassVar[str] = "Fail"
    reasons: list[str]


class Warning(Variant):
    tag: ClassVar[str] = "Warning"
    issues: list[str]


TestResult = Annotated[Pass | Fail | Warning, ExternallyTagged(Pass, Fail, Warning)]


class CheckResult(Model):
    """One check that looked at a machine: `check` is its readable id."""

    check: str
    outcome: Literal["passed", "failed", "skipped", "error"]
    message: str = ""
    expected: str | None = None
    actual: str | None = None
    hint: str | None = None
    duration: Duration = 0.0


class TaskValidationResult(Model):
    host: str
    task_id: str
    passed: bool
    checks: list[CheckResult] = Field(default_factory=list)


class PerformanceValidationResult(Model):
    passed: bool
    issues: list[str] = Field(default_factory=list)
    measured_execution_time: Duration | None = None
    measured_binary_size_mb: float | None = None
    measured_improvement_factor: float | None = None


class DeploymentValidationResult(Model):
    passed: bool
    issues: list[str] = Field(default_factory=list)
    methods: dict[str, str] = Field(default_factory=dict)


class ValidationReport(Model):
    """`suite` (testinfra tests and checks that belong to no single task) and `unchecked` are ours."""

    test_name: str
    overall_result: TestResult
    task_validations: list[TaskValidationResult] = Field(default_factory=list)
    performance_validation: PerformanceValidationResult
    deployment_validation: DeploymentValidationResult
    suite: list[CheckResult] = Field(default_factory=list)
    unchecked: list[str] = Field(default_factory=list)


class SnapshotUse(Model):
    """A platform that went on from a snapshot of what `prepare` made. `made`: by this very run."""

    host: str
    key: str
    created: datetime
    made: bool
    missing: list[str] = Field(default_factory=list)
    """What it does not hold."""
    lost: list[str] = Field(default_factory=list)
    """What of that `prepare` had left: processes and files by name."""


class StepResult(Model):
    """One step of the sequence as it went: `reason` says why it was skipped or failed."""

    step: str
    outcome: Literal["passed", "failed", "skipped", "error"]
    duration: Duration
    reason: str | None = None
    log: Path | None = None


class TestReport(Model):
    """`compilation_result` and what follows it are None when the run ended before that stage."""

    __test__: ClassVar[bool] = False  # not a test class, whatever pytest makes of its name
    config: E2ETestConfig
    compilation_result: CompilationResult | None
    execution_result: ExecutionResult | None
    validation_report: ValidationReport
    start_time: datetime
    end_time: datetime
    compilation_results: list[CompilationResult] = Field(default_factory=list)
    scenario: str = ""
    run: str = ""
    verb: str = ""
    steps: list[StepResult] = Field(default_factory=list)
    snapshots: list[SnapshotUse] = Field(default_factory=list)
    screens: dict[str, str] = Field(default_factory=dict)
    """Of hosts that have one, a PNG file of what it showed when something had failed."""
