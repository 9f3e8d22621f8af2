"""What passes between the lifecycle and the pytest child process that verifies, as two JSON files."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, JsonValue

from harness.models.config import ExpectedOutcome
from harness.models.endpoint import Endpoint
from harness.models.plan import Plan
from harness.models.results import CheckResult, HostExecutionResult, TaskValidationResult
from harness.models.serde import StrictModel


class VerifyHost(StrictModel):
    platform: str
    groups: list[str] = Field(default_factory=list)
    endpoint: Endpoint
    variables: dict[str, JsonValue] = Field(default_factory=dict)


class AnsibleFolders(StrictModel):
    """Of a scenario that Ansible provisions: where its inventory lies."""

    inventory: Path
    """The folder; Molecule's ansible_inventory.yml is in it."""


class VerifyJob(StrictModel):
    """All that the child needs; its path travels in the environment variable HARNESS_VERIFY_JOB."""

    scenario: str
    hosts: list[VerifyHost]
    directory: Path
    """The testinfra tests; it may be missing."""
    additional: list[Path] = Field(default_factory=list)
    expected: list[ExpectedOutcome] = Field(default_factory=list)
    plan: Plan | None = None
    derive_from_plan: bool = True
    host_results: list[HostExecutionResult] = Field(default_factory=list)
    """Of the last converge; empty when none is known (checks of task results are then skipped, by name)."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    pytest_args: list[str] = Field(default_factory=list)
    secrets: list[str] = Field(default_factory=list, repr=False)
    """Values to mask in what is written."""
    left_out: list[str] = Field(default_factory=list)
    """Platforms and groups of the scenario that this run does not touch: tests for them alone are skipped."""
    ansible: AnsibleFolders | None = None
    cwd: Path | None = None
    """Where pytest runs: the scenario's folder, as Molecule does; the folder above `directory` when None."""


class VerifyOutcome(StrictModel):
    """`tests_run` counts passed and failed items; 0 is exit status 3, never success."""

    tests_run: int
    passed: int
    failed: int
    skipped: int
    errors: int
    task_validations: list[TaskValidationResult] = Field(default_factory=list)
    suite: list[CheckResult] = Field(default_factory=list)
    unchecked: list[str] = Field(default_factory=list)
    interrupted: bool = False
