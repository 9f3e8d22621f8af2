"""harness test"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import completion
from harness.cli.options import REPORT_FILE, Common, as_json, common
from harness.exits import Exit

if TYPE_CHECKING:
    from harness.lifecycle.context import RunOptions
    from harness.lifecycle.events import Observer
    from harness.lifecycle.several import Chosen, Verdict
    from harness.report.files import Format
    from harness.scenario import Settings


@click.command("test")
@common
@click.option("--category", help="Scenarios of this category (basic, cross-compilation, large-scale, ...).")
@click.option(
    "--fixture",
    metavar="NAME",
    shell_complete=completion.fixtures,
    help="A fixture, one platform for each host of its plan.",
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="An E2ETestConfig as JSON.")
@click.option(
    "--destroy",
    type=click.Choice(["always", "never", "passing"]),
    help="When to destroy the platforms; `always` unless the settings say otherwise.",
)
@click.option("--report-format", type=click.Choice(["json", "html", "junit"]), help="Write a report, too.")
@as_json
@click.option("--output", type=REPORT_FILE, metavar="FILE", help="Where; stdout unless given.")
@click.option("--setup-only", is_flag=True, help="Only create and prepare the platforms, and keep them.")
@click.option("--cleanup-only", is_flag=True, help="Only clean up and destroy what is kept.")
@click.option("--repeat", type=click.IntRange(1), default=1, metavar="N", help="N times; names what is flaky.")
@click.option("--strict", is_flag=True, help="A warning is a failure.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    common: Common,
    category: str | None,
    fixture: str | None,
    config: Path | None,
    destroy: str | None,
    report_format: Format | None,
    as_json: bool,
    output: Path | None,
    setup_only: bool,
    cleanup_only: bool,
    repeat: int,
    strict: bool,
    arguments: tuple[str, ...],
) -> int:
    """Run a scenario from creation to destruction, on platforms of its own.

    What stands behind `--` goes to pytest, or to ansible-playbook where the provisioner is Ansible. Exit status:
    0 passed, 1 failed, 2 error, 3 nothing was tested, 4 all skipped, 130 interrupted.
    """
    from harness.cli.scenario_verb import summarise, write
    from harness.lifecycle.context import DestroyPolicy
    from harness.lifecycle.several import choose, overall, project_folder

    _check_together(common, fixture, config, setup_only, cleanup_only)
    report_format = _format(report_format, output, as_json)
    selection = common.selection(category=category, fixture=fixture, config=config)
    settings = common.settings(project_folder(selection))
    chosen = choose(selection, settings)
    to_stdout = report_format is not None and output is None
    verb = "create" if setup_only else "destroy" if cleanup_only else "test"
    policy = destroy or _default_policy(settings, chosen)
    options = common.run_options(settings, destroy=DestroyPolicy(policy), arguments=arguments)
    verdicts = _perform(chosen, verb, options, common.observer(stderr=to_stdout), repeat)
    if report_format is not None:
        many = repeat > 1 or category is not None or common.many
        reports = [verdict.report for verdict in verdicts if verdict.report is not None]
        write(reports, report_format, output, many=many)
    summarise(verdicts, err=to_stdout)
    code = overall(verdicts, strict=strict)
    if repeat > 1 and _tell_flaky(verdicts, err=to_stdout) and code == 0:
        code = Exit.FAILED
    if not settings.e2e_testing.preserve_artifacts:
        _forget(chosen, verdicts)
    return code


def _format(report_format: Format | None, output: Path | None, as_json: bool) -> Format | None:
    from harness.errors import UsageError
    from harness.report.files import format_of

    if as_json and (output is not None or report_format not in (None, "json")):
        raise UsageError("--json writes JSON to stdout", hint="a file or another kind: --report-format and --output")
    if as_json:
        return "json"
    return format_of(output) if output is not None and report_format is None else report_format


def _perform(chosen: list[Chosen], verb: str, options: RunOptions, observer: Observer, repeat: int) -> list[Verdict]:
    from harness.cli.outcome import show
    from harness.cli.scenario_verb import tell_skipped
    from harness.lifecycle.several import perform_all

    verdicts: list[Verdict] = []
    for _ in range(repeat):
        if not verdicts or verdicts[-1].code != Exit.INTERRUPTED:
            verdicts += perform_all(chosen, verb, options, observer, on_error=show, on_skip=tell_skipped)
    return verdicts


def _check_together(
    common: Common, fixture: str | None, config: Path | None, setup_only: bool, cleanup_only: bool
) -> None:
    from harness.errors import UsageError

    if setup_only and cleanup_only:
        raise UsageError("--setup-only and --cleanup-only exclude one another")
    wanted = {"--fixture": fixture is not None, "--config": config is not None, "-s": bool(common.scenario_names)}
    wanted["--all"] = common.everything
    given = [name for name, there in wanted.items() if there]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude one another", hint="give one of them")


def _default_policy(settings: Settings, chosen: list[Chosen]) -> str:
    """What the settings say of leaving platforms behind (`cleanup_on_failure`, `docker.cleanup_containers`)."""
    containers = any(platform.driver == "docker" for one in chosen for platform in one.scenario.platforms)
    if containers and not settings.docker.cleanup_containers:
        return "never"
    return "always" if settings.e2e_testing.cleanup_on_failure else "passing"


def _tell_flaky(verdicts: list[Verdict], *, err: bool) -> bool:
    from harness.lifecycle.repeat import flaky

    found = False
    for scenario in dict.fromkeys(verdict.scenario for verdict in verdicts):
        reports = [one.report for one in verdicts if one.scenario == scenario and one.report is not None]
        lines = flaky(reports)
        found = found or bool(lines)
        runs = f"{scenario}: {len(reports)} runs"
        click.echo(f"{runs}, flaky:" if lines else f"{runs}, all the same", err=err)
        for line in lines:
            click.echo(f"  {line}", err=err)
    return found


def _forget(chosen: list[Chosen], verdicts: list[Verdict]) -> None:
    from harness.lifecycle.run import forget_artifacts
    from harness.lifecycle.workspace import Workspace

    workspaces = {one.scenario.name: Workspace.of(one.scenario.ref.project) for one in chosen}
    for verdict in verdicts:
        if verdict.report is not None:
            forget_artifacts(verdict.report, workspaces[verdict.scenario])
