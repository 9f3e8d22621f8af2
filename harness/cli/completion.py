"""What the shell completes beside verbs and options (docs/lifecycle.md tells how it is switched on)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    import click

Complete = Callable[["click.Context", "click.Parameter", str], list[str]]


def _from(known: Callable[[click.Context], Iterable[str]]) -> Complete:
    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        try:
            return [name for name in known(context) if name.startswith(begun)]
        except HarnessError:  # a shell that completes is no place to be told
            return []

    return complete


def _scenarios(context: click.Context) -> list[str]:
    from harness.scenario.project import find_project, list_scenarios

    return list_scenarios(find_project(Path.cwd()))


def _platforms(context: click.Context) -> list[str]:
    from harness.scenario import load_scenario, load_settings
    from harness.scenario.project import find_project, select_scenarios

    project = find_project(Path.cwd())
    settings = load_settings(project)
    names = select_scenarios(project, context.params.get("scenario_names") or ())
    return sorted({one.name for name in names for one in load_scenario(project, name, settings=settings).platforms})


def _drivers(context: click.Context) -> list[str]:
    from harness import registry

    return registry.names(registry.DRIVERS)


def _fixtures(context: click.Context) -> list[str]:
    from harness.scenario.fixtures import TestFixtureManager

    return TestFixtureManager().list_fixtures()


scenarios, platforms, drivers, fixtures = (_from(known) for known in (_scenarios, _platforms, _drivers, _fixtures))
