"""Scenarios and settings: found, layered, interpolated and validated. See docs/scenario.md and docs/settings.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.scenario.layers import Overrides
from harness.scenario.load import load_scenario
from harness.scenario.project import find_project, list_scenarios, select_scenarios
from harness.scenario.settings import Settings, load_settings

if TYPE_CHECKING:
    from harness.scenario.derived import scenario_from_config, scenario_from_fixture

__all__ = [
    "Overrides",
    "Settings",
    "find_project",
    "list_scenarios",
    "load_scenario",
    "load_settings",
    "scenario_from_config",
    "scenario_from_fixture",
    "select_scenarios",
]


def __getattr__(name: str) -> Any:
    """What reads plans is imported when it is asked for: `harness list` does not need it."""
    if name in ("scenario_from_config", "scenario_from_fixture"):
        from harness.scenario import derived

        return getattr(derived, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
