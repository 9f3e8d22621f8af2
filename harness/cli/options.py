"""The options that every verb of a scenario has, under Molecule's names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli import completion

if TYPE_CHECKING:
    from harness.lifecycle.context import RunOptions
    from harness.lifecycle.events import Observer
    from harness.lifecycle.several import Selection
    from harness.scenario import Settings

F = TypeVar("F", bound=Callable[..., Any])


class _ReportFile(click.Path):
    """Found to be a folder, or a `-` that would become a file of that name, before anything is run."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "-":
            self.fail("standard output is where a report goes with --report-format alone; ./- is a file", param, ctx)
        return super().convert(value, param, ctx)


REPORT_FILE = _ReportFile(dir_okay=False, path_type=Path)

report_files = click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
"""JSON reports; of the verbs that read what runs have left."""

one_platform = click.option(
    "-h",
    "--host",
    metavar="NAME",
    shell_complete=completion.platforms,
    help="The platform; needed where there are several.",
)
"""Of the verbs that look at one platform."""


as_json = click.option(
    "--json", "as_json", is_flag=True, help="Write the report to stdout, for programs; all else goes to stderr."
)
"""Of the verbs that walk a scenario's sequence."""


def globbed(names: tuple[str, ...]) -> bool:
    """Whether several scenarios could be meant, however many there are."""
    return len(names) > 1 or any(sign in name for name in names for sign in "*?[")


@dataclass(frozen=True)
class Common:
    """The common options as they were given."""

    scenario_names: tuple[str, ...]
    everything: bool
    exclude: tuple[str, ...]
    platforms: tuple[str, ...]
    workers: int | None
    driver: str | None
    base_configs: tuple[Path, ...]
    env_file: Path | None
    lock_timeout: float
    no_snapshot: bool
    checks: str | None
    verbose: int
    debug: bool

    @property
    def many(self) -> bool:
        """Whether several scenarios could be meant, however many there are."""
        return self.everything or globbed(self.scenario_names)

    def selection(self, **more: Any) -> Selection:
        from harness.lifecycle.several import Selection
        from harness.scenario import Overrides

        overrides = Overrides(driver=self.driver, base_configs=self.base_configs, env_file=self.env_file)
        return Selection(
            names=self.scenario_names, everything=self.everything, exclude=self.exclude, overrides=overrides, **more
        )

    def settings(self, project: Path) -> Settings:
        from harness.scenario import load_settings

        options = {"harness.workers": self.workers, "snapshots.enabled": False if self.no_snapshot else None}
        return load_settings(project, options)

    def run_options(self, settings: Settings, **more: Any) -> RunOptions:
        import os

        from harness.lifecycle.context import RunOptions

        workers = settings.harness.workers or os.cpu_count() or 1
        return RunOptions(
            platforms=self.platforms,
            workers=workers,
            lock_timeout=self.lock_timeout,
            snapshots=settings.snapshots.enabled,
            snapshot_max_age=settings.snapshots.max_age_hours * 3600,
            checks=self._checks(),
            **more,
        )

    def _checks(self) -> frozenset[str] | None:
        if self.checks is None:
            return None
        from harness.verify.conduct.catalogue import chosen

        return chosen([word.strip() for word in self.checks.split(",") if word.strip()])

    def observer(self, *, stderr: bool = False) -> Observer:
        import sys

        from harness.report.console import ConsoleObserver

        return ConsoleObserver(sys.stderr if stderr else sys.stdout, verbosity=2 if self.debug else self.verbose)


_OPTIONS = (
    click.option(
        "-s", "--scenario-name", "scenario_names", multiple=True, metavar="NAME", shell_complete=completion.scenarios,
        help="Scenario, by name or glob; may be repeated. `default` unless given.",
    ),
    click.option("--all", "everything", is_flag=True, help="All scenarios of the project."),
    click.option(
        "-e", "--exclude", multiple=True, metavar="NAME", shell_complete=completion.scenarios,
        help="Leave these out; may be repeated.",
    ),
    click.option(
        "-p", "--platform-name", "platforms", multiple=True, metavar="NAME", shell_complete=completion.platforms,
        help="Only this one; may be repeated.",
    ),
    click.option("--workers", type=click.IntRange(1, 1000), help="Platforms worked on side by side."),
    click.option(
        "-d", "--driver-name", "driver", metavar="NAME", shell_complete=completion.drivers,
        help="Another driver than the scenario's.",
    ),
    click.option(
        "-c", "--base-config", "base_configs", multiple=True, type=click.Path(path_type=Path),
        help="A file that lies under every molecule.yml; may be repeated.",
    ),
    click.option("--env-file", type=click.Path(path_type=Path), help="Variables for molecule.yml; else .env.yml."),
    click.option(
        "--lock-timeout", type=click.FloatRange(0), default=600.0, show_default=True, metavar="SECONDS",
        help="How long to wait for another verb on the same scenario.",
    ),
    click.option("--no-snapshot", is_flag=True, help="Run prepare, whatever is kept of it, and keep nothing."),
    click.option(
        "--checks", metavar="LEVEL", help="cheap, full, none, or ids of checks (docs/checks.md); as the scenario says.",
    ),
    click.option("-v", "--verbose", count=True, help="Tasks and hosts; twice: their output, too."),
    click.option("--debug", is_flag=True, help="Everything, tracebacks of defects included."),
)  # fmt: skip


passed_on = click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ANSIBLE ARGS]")
"""What stands behind `--`, for ansible-playbook."""


def common(function: F) -> F:
    """Give the command the common options, as one `Common` before its own arguments."""

    @functools.wraps(function)
    def wrapper(**arguments: Any) -> Any:
        fields = {name: arguments.pop(name) for name in Common.__dataclass_fields__}
        return function(Common(**fields), **arguments)

    for option in reversed(_OPTIONS):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]
