"""A fault that a scenario asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Moment = Literal["converge", "push", "run", "side_effect"]
"""`converge`: before anything of the step converge; `push`: while the binary travels; `run`: while the plan runs."""
TEMPORARY = ("/tmp", "/var/tmp", "/run", "/root")
"""Wherever a binary might be put: one of them full or noexec alone is dodged."""


@dataclass(frozen=True)
class Fault:
    """`kind` is a name of `harness.faults.kinds`. `platforms`: all where empty. `after_task`: `run`, once this task has
    ended. `seconds`: undone after so long; else when the step converge, or the body of the sequence, has ended.
    `paths` (TEMPORARY where empty) and `offset_seconds` belong to some kinds only."""

    kind: str
    platforms: tuple[str, ...] = ()
    during: Moment = "side_effect"
    after_task: str | None = None
    seconds: float | None = None
    paths: tuple[str, ...] = ()
    offset_seconds: float = 3600.0
