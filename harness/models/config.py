"""The configuration and expectations of specification 110, field for field."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from harness.models.serde import ExternallyTagged, Model, Variant


class Docker(Variant):
    tag: ClassVar[str] = "Docker"
    image: str
    volumes: list[str] = Field(default_factory=list)


class VM(Variant):
    tag: ClassVar[str] = "VM"
    image: str
    snapshot: str | None = None


class Native(Variant):
    tag: ClassVar[str] = "Native"


TestEnvironment = Annotated[Docker | VM | Native, ExternallyTagged(Docker, VM, Native)]


class TargetPlatform(Model):
    arch: str
    os: str
    environment: TestEnvironment = Native()


class BinaryOnly(Variant):
    tag: ClassVar[str] = "BinaryOnly"


class SSHFallback(Variant):
    tag: ClassVar[str] = "SSHFallback"


class Hybrid(Variant):
    tag: ClassVar[str] = "Hybrid"


class ForceSSH(Variant):
    tag: ClassVar[str] = "ForceSSH"


DeploymentStrategy = Annotated[
    BinaryOnly | SSHFallback | Hybrid | ForceSSH, ExternallyTagged(BinaryOnly, SSHFallback, Hybrid, ForceSSH)
]


class ExpectSuccess(Variant):
    tag: ClassVar[str] = "Success"


class ExpectFailure(Variant):
    """`expected_error` is looked for (as a substring, then as a regular expression) in the task's error."""

    tag: ClassVar[str] = "Failure"
    expected_error: str


class ExpectSkip(Variant):
    tag: ClassVar[str] = "Skip"
    reason: str


TaskResult = Annotated[
    ExpectSuccess | ExpectFailure | ExpectSkip, ExternallyTagged(ExpectSuccess, ExpectFailure, ExpectSkip)
]


class FileExists(Variant):
    """`expected_value`: "true" or "false"."""

    tag: ClassVar[str] = "FileExists"


class FileContent(Variant):
    """The whole content equals `expected_value`, or, with `regex`, a match is found in it."""

    tag: ClassVar[str] = "FileContent"
    regex: bool = False


class FileMode(Variant):
    """`expected_value`: an octal mode such as "0644"."""

    tag: ClassVar[str] = "FileMode"


class FileSize(Variant):
    """Size in bytes: within `min` and `max` where given, else exactly `expected_value`."""

    tag: ClassVar[str] = "FileSize"
    min: int | None = None
    max: int | None = None


class ProcessRunning(Variant):
    """`path` is the process's name or command line; `expected_value`: "true" or "false"."""

    tag: ClassVar[str] = "ProcessRunning"


class ServiceStatus(Variant):
    """`path` is the service's name; `expected_value`: running, stopped, enabled, disabled (comma-separated)."""

    tag: ClassVar[str] = "ServiceStatus"


ArtifactCheckType = Annotated[
    FileExists | FileContent | FileMode | FileSize | ProcessRunning | ServiceStatus,
    ExternallyTagged(FileExists, FileContent, FileMode, FileSize, ProcessRunning, ServiceStatus),
]


class ArtifactCheck(Model):
    path: str
    check_type: ArtifactCheckType
    expected_value: str = ""


class TaskExpectation(Model):
    task_id: str
    expected_result: TaskResult = ExpectSuccess()
    validation_commands: list[str] = Field(default_factory=list)
    artifacts: list[ArtifactCheck] = Field(default_factory=list)


class PerformanceThreshold(Model):
    max_execution_time_seconds: float | None = None
    max_binary_size_mb: float | None = None
    min_improvement_factor: float | None = None


class ExpectedOutcome(Model):
    """What one host must look like afterwards; `expected_method` is ours (binary, ssh)."""

    host: str
    tasks: list[TaskExpectation] = Field(default_factory=list)
    performance_threshold: PerformanceThreshold | None = None
    expected_method: str | None = None


class E2ETestConfig(Model):
    test_name: str
    execution_plan_path: str
    target_platforms: list[TargetPlatform]
    deployment_strategy: DeploymentStrategy = BinaryOnly()
    expected_outcomes: list[ExpectedOutcome] = Field(default_factory=list)
    timeout_seconds: int = 300
    use_containers: bool = False
