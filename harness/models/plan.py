"""The plan, whichever of its two formats it came in. `harness.plan` reads and checks it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field, JsonValue

from harness.models.serde import Duration, Model


class PlanModel(Model):
    """Unknown extra fields are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class Keywords(PlanModel):
    """Ansible's task keywords under Ansible's names. Expressions stay unevaluated."""

    register_: str | None = Field(default=None, alias="register")
    loop: JsonValue = None
    loop_control: dict[str, JsonValue] = Field(default_factory=dict)
    when: list[str | bool] = Field(default_factory=list)
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    become: bool = False
    become_user: str | None = None
    changed_when: list[str | bool] | None = None
    failed_when: list[str | bool] | None = None
    ignore_errors: bool | str = False
    until: list[str | bool] | None = None
    retries: int | None = None
    delay: float | None = None
    timeout: float | None = None
    no_log: bool = False
    listen: list[str] = Field(default_factory=list)
    check_mode: bool | None = None
    diff: bool | None = None


class Task(Keywords):
    """`conditions` of either format are turned into `when`, `tags` and `hosts`; the originals stay beside them."""

    task_id: str
    name: str = ""
    module: str
    args: dict[str, JsonValue] = Field(default_factory=dict)
    hosts: list[str] = Field(default_factory=list)
    """The hosts it is for, resolved: never a group. Empty only where the plan says so; such a task never runs."""
    dependencies: list[str] = Field(default_factory=list)
    conditions: list[JsonValue] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    notify: list[str] = Field(default_factory=list)
    execution_order: int = 0
    can_run_parallel: bool = False
    estimated_duration: Duration | None = None
    risk_level: str | None = None


class Handler(Keywords):
    handler_id: str
    name: str = ""
    module: str
    args: dict[str, JsonValue] = Field(default_factory=dict)
    conditions: list[JsonValue] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    notify: list[str] = Field(default_factory=list)
    execution_order: int = 0


class Batch(PlanModel):
    batch_id: str
    hosts: list[str] = Field(default_factory=list)
    tasks: list[Task]
    dependencies: list[str] = Field(default_factory=list)


class Play(PlanModel):
    play_id: str
    name: str = ""
    strategy: Any = None
    serial: JsonValue = None
    hosts: list[str] = Field(default_factory=list)
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    batches: list[Batch]
    handlers: list[Handler] = Field(default_factory=list)
    """`become`, `environment` and the other keywords that Ansible lets a play hand down are in its tasks already."""


class PlanMetadata(PlanModel):
    created_at: datetime | None = None
    rustle_plan_version: str | None = None
    plan_id: str = ""
    """From the older format; otherwise the sha256 of the file's bytes."""
    run_tags: list[str] = Field(default_factory=list)
    """These four are `planning_options`' tags, skip_tags, check_mode and diff_mode."""
    skip_tags: list[str] = Field(default_factory=list)
    check_mode: bool = False
    diff_mode: bool = False


class Plan(PlanModel):
    metadata: PlanMetadata
    plays: list[Play]
    hosts: list[str]
    groups: dict[str, list[str]] = Field(default_factory=dict)
    """Every group's hosts, those of its children included."""
    group_vars: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """In order of precedence, the weakest (`all`, then parents before children) first."""
    hosts_vars: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    binary_deployments: list[JsonValue] = Field(default_factory=list)
    total_tasks: int = 0
    source_format: str = "rustle-plan"
    """`rustle-plan` or `execution-plan` (the older one)."""
