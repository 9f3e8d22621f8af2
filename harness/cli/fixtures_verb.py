"""harness fixtures list|show|validate|generate"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.exits import Exit

if TYPE_CHECKING:
    from harness.models.config import TargetPlatform
    from harness.scenario import Settings
    from harness.scenario.fixture import TestFixture
    from harness.scenario.fixtures import TestFixtureManager


@click.group("fixtures")
def command() -> None:
    """List, show, validate or generate fixtures: plans with the outcomes they must have."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> int:
    """List the project's own fixtures and those that ship with the harness."""
    from harness.cli.outcome import show as show_error
    from harness.cli.table import table
    from harness.errors import HarnessError
    from harness.report.text import printable

    manager = _manager()
    rows: list[dict[str, Any]] = []
    broken: list[HarnessError] = []
    for name in manager.list_fixtures():
        try:
            rows.append(_row(manager.load_fixture(name)))
        except HarnessError as error:
            broken.append(error)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        header = ("name", "complexity", "hosts", "tasks", "description")
        click.echo(table(header, [[printable(str(row[key])) for key in header] for row in rows]))
    for fault in broken:
        show_error(fault)
    return Exit.ERROR if broken else Exit.PASSED


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Plan and outcomes as they stand in their files.")
def show(name: str, as_json: bool) -> None:
    """Show the plan and the expected outcomes of the fixture NAME."""
    manager = _manager()
    fixture = manager.load_fixture(name)
    if as_json:
        outcomes = fixture.outcomes.model_dump(mode="json")
        click.echo(json.dumps({**_row(fixture), "plan": fixture.execution_plan, "outcomes": outcomes}, indent=2))
        return
    from harness.plan import read_plan, render
    from harness.report.text import plural, printable

    path = manager.plan_path(name)
    click.secho(fixture.name, bold=True, nl=False)
    click.echo(f"  {fixture.complexity}  {printable(fixture.description)}\n{path}")
    render.show(read_plan(path))
    for outcome in fixture.outcomes.expected_outcomes:
        checks = sum(len(task.artifacts) + len(task.validation_commands) for task in outcome.tasks)
        click.echo(
            f"expected of {printable(outcome.host)}: {plural(len(outcome.tasks), 'task')}, {plural(checks, 'check')}"
        )


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
def validate(names: tuple[str, ...]) -> int:
    """Check fixtures (all, unless named): plan, outcomes, and that they fit each other.

    Exit status 0 when all are valid, 2 otherwise.
    """
    from harness.cli.outcome import show as show_error
    from harness.errors import HarnessError

    manager = _manager()
    ok = True
    for name in names or manager.list_fixtures():
        try:
            fixture = manager.load_fixture(name)
            manager.validate_fixture(fixture)
        except HarnessError as error:
            ok = False
            show_error(error)
        else:
            click.secho("valid ", fg="green", nl=False)
            click.echo(fixture.name)
    return Exit.PASSED if ok else Exit.ERROR


@command.command()
@click.option("--hosts", type=click.IntRange(1, 100_000), help="How many; max_hosts_for_testing (100) unless given.")
@click.option("--tasks", type=click.IntRange(1, 100_000), default=10, show_default=True, help="How many tasks each.")
@click.option(
    "--target", "targets", multiple=True, metavar="ARCH-OS", help="x86_64-linux, aarch64-linux ...; hosts take turns."
)
@click.option("-o", "--output", metavar="DIR", help="Folder for the files (fixtures/), or - for the plan alone.")
@click.option("--force", is_flag=True, help="Replace files that say something else.")
def generate(hosts: int | None, tasks: int, targets: tuple[str, ...], output: str | None, force: bool) -> None:
    """Make the fixture large_scale_plan for many hosts."""
    manager, settings = _manager(), _settings()
    _refuse_to_generate(settings)
    count = hosts if hosts is not None else settings.fixtures.max_hosts_for_testing
    named = targets or [f"{one.arch}-{one.os}" for one in settings.platforms.default_targets]
    wanted = [_target(text) for text in named]
    fixture = manager.generate_large_scale_fixture(count, wanted, tasks=tasks)
    if output == "-":
        click.echo(json.dumps(fixture.execution_plan, indent=1, ensure_ascii=False))
        return
    folder = Path(output) if output is not None else _own_folder() or Path("fixtures")
    for path in manager.write(fixture, folder, replace=force):
        click.echo(path)


def _row(fixture: TestFixture) -> dict[str, Any]:
    return {
        "name": fixture.name,
        "complexity": str(fixture.complexity),
        "hosts": len(fixture.expected_hosts),
        "tasks": fixture.expected_tasks,
        "description": fixture.description,
    }


def _manager() -> TestFixtureManager:
    from harness.scenario.fixtures import TestFixtureManager

    return TestFixtureManager(_own_folder())


def _own_folder() -> Path | None:
    return _settings().fixtures.fixtures_dir


def _settings() -> Settings:
    """The project's; a folder without scenarios may have some, too."""
    from harness.errors import UsageError
    from harness.scenario import find_project, load_settings

    try:
        project = find_project(Path.cwd())
    except UsageError:
        project = Path.cwd()
    return load_settings(project, {})


def _refuse_to_generate(settings: Settings) -> None:
    """Raises UsageError where the settings forbid it."""
    if not settings.fixtures.generate_large_scale:
        from harness.errors import UsageError

        name = "fixtures.generate_large_scale"
        raise UsageError(f"{name} is false ({settings.origin(name)})", hint="set it to true, or leave it out")


def _target(text: str) -> TargetPlatform:
    from harness.errors import UsageError
    from harness.models.config import TargetPlatform

    arch, _, system = text.rpartition("-")
    if not arch or not system:
        raise UsageError(f"{text!r} is no target", hint="write architecture and system: x86_64-linux")
    return TargetPlatform(arch=arch, os=system)
