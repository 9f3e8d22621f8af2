"""One fixture: a plan, what it is expected to do, and how large it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.scenario.outcomes import Outcomes


class ComplexityLevel(StrEnum):
    SIMPLE = "Simple"
    """One host, basic tasks."""
    MEDIUM = "Medium"
    """Several hosts, mixed tasks."""
    COMPLEX = "Complex"
    """Large, dependencies, mixed architectures."""
    PERFORMANCE = "Performance"
    """Made for measuring."""


@dataclass(frozen=True)
class TestFixture:
    """`execution_plan` is the plan's JSON value as it stands in the file."""

    __test__ = False  # not a test of pytest's

    name: str
    execution_plan: Mapping[str, Any]
    expected_hosts: list[str]
    expected_tasks: int
    description: str
    complexity: ComplexityLevel
    outcomes: Outcomes = field(default_factory=lambda: Outcomes(expected_outcomes=[]))
    path: Path | None = None
    """The plan's file, beside which it finds the files it copies; None for a generated fixture."""
