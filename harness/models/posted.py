"""The one report that a foreign runner posts at its end, as rustle-deploy's runners have it. See docs/compilers.md."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.models.serde import Duration, Model


class PostedTime(Model):
    """As serde writes a SystemTime."""

    secs_since_epoch: int
    nanos_since_epoch: int = 0


class PostedModuleResult(Model):
    """`results`: whatever else the module tells, by name."""

    changed: bool
    failed: bool
    msg: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    rc: int | None = None
    results: dict[str, Any] = Field(default_factory=dict)


class PostedTask(Model):
    task_id: str
    module_result: PostedModuleResult
    start_time: PostedTime | None = None
    duration: Duration = 0.0


class PostedPlay(Model):
    play_id: str
    success: bool
    task_results: list[PostedTask]


class PostedReport(Model):
    success: bool
    results: list[PostedPlay]
    execution_time: Duration = 0.0
