"""The runner's contract: the payload it carries and the JSON lines it writes. See docs/runner-contract.md."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from harness.models.serde import Duration, Model

PAYLOAD_SCHEMA = 1
PAYLOAD_MAGIC = b"HARNESS-PAYLOAD1"


class PayloadTask(Model):
    """A task or handler as the runner sees it: expressions unevaluated, keywords under Ansible's names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_id: str
    name: str = ""
    module: str
    args: dict[str, JsonValue] = Field(default_factory=dict)
    when: list[JsonValue] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    notify: list[str] = Field(default_factory=list)
    listen: list[str] = Field(default_factory=list)
    dependencies: list[str] = Field(default_factory=list)
    register_: str | None = Field(default=None, alias="register")
    loop: JsonValue = None
    loop_control: dict[str, JsonValue] = Field(default_factory=dict)
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    become: bool = False
    become_user: str | None = None
    changed_when: list[JsonValue] | None = None
    failed_when: list[JsonValue] | None = None
    ignore_errors: JsonValue = False
    until: list[JsonValue] | None = None
    retries: int | None = None
    delay: float | None = None
    timeout: float | None = None
    no_log: bool = False
    check_mode: bool | None = None
    diff: bool | None = None
    beyond: dict[str, JsonValue] = Field(default_factory=dict, exclude=True)
    """Keywords that no runner knows, for Ansible; like `lacking` and `rerun` they are not embedded."""
    lacking: tuple[str, ...] = Field(default=(), exclude=True)
    """What of it the compiler does not honour, in words: empty where the binary can do it."""
    rerun: bool = Field(default=False, exclude=True)
    """It may be run again where nobody knows whether it was done (see docs/strategies.md)."""


class PayloadPlay(Model):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    tasks: list[PayloadTask]
    handlers: list[PayloadTask] = Field(default_factory=list)
    beyond: dict[str, JsonValue] = Field(default_factory=dict, exclude=True)
    lacking: tuple[str, ...] = Field(default=(), exclude=True)
    """Both as with a task."""


class Payload(Model):
    """What is embedded for one slice: every host in `run_on` runs exactly these plays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: int = Field(default=PAYLOAD_SCHEMA, alias="schema")
    plan_id: str
    run_on: list[str]
    hosts: dict[str, dict[str, JsonValue]]
    """Variables of EVERY host of the plan (for `hostvars`); `run_on` is a subset of its keys."""
    groups: dict[str, list[str]] = Field(default_factory=dict)
    secrets: list[str] = Field(default_factory=list)
    check_mode: bool = False
    diff: bool = False
    plays: list[PayloadPlay]


class StartRecord(Model):
    type: Literal["start"] = "start"
    task_id: str


class StateRecord(Model):
    """What a task leaves to later ones, written before its record where it is asked for. Whole: never to be shown."""

    type: Literal["state"] = "state"
    task_id: str
    registered: dict[str, Any] = Field(default_factory=dict, repr=False)
    facts: dict[str, Any] = Field(default_factory=dict, repr=False)
    notified: list[str] = Field(default_factory=list)


class TaskRecord(Model):
    """One line a task (or handler) once it has ended."""

    type: Literal["task"] = "task"
    task_id: str
    name: str = ""
    module: str = ""
    handler: bool = False
    status: Literal["ok", "changed", "failed", "skipped"]
    msg: str = ""
    stdout: str = ""
    stderr: str = ""
    rc: int | None = None
    start: str
    duration: Duration
    artifacts: list[str] = Field(default_factory=list)
    ignored: bool = False
    attempts: int = 1
    skip_reason: str | None = None
    result: dict[str, Any] = Field(default_factory=dict)
    """The module's return values under Ansible's names, as `register` sees them (absent under no_log)."""


class ReportRecord(Model):
    """The last line. `exit_code`: 0, or 1 when a task failed."""

    type: Literal["report"] = "report"
    host: str
    plan_id: str
    payload_sha256: str
    ok: int
    changed: int
    failed: int
    skipped: int
    ignored: int = 0
    start: str
    duration: Duration
    exit_code: int
