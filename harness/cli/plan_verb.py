"""harness plan validate|show|graph|convert FILE, harness plan decide"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.exits import Exit

if TYPE_CHECKING:
    from harness.errors import Problem
    from harness.models.scenario import Scenario
    from harness.plan import Checked

_NONE: tuple[Problem, ...] = ()
FILE = click.Path(path_type=Path)


@click.group("plan")
def command() -> None:
    """Validate, show or draw an execution plan, or decide how it gets to its hosts."""


@command.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("-s", "--scenario-name", "scenario", help="Also hold the plan against this scenario's platforms.")
@click.option("--compiler", default="reference", show_default=True, help="What this compiler honours is allowed.")
@click.option("--strict", is_flag=True, help="A warning is a failure, too.")
@click.option("--json", "as_json", is_flag=True, help="What was found, for programs.")
def validate(files: tuple[Path, ...], scenario: str | None, compiler: str, strict: bool, as_json: bool) -> int:
    """Find everything that is wrong with each plan FILE.

    Exit status 0 when all are valid, 2 otherwise.
    """
    from harness import registry
    from harness.errors import InvalidInput
    from harness.plan import check_file

    honours = registry.compiler(compiler).honours()
    platforms, secrets, by_ansible = _of_scenario(scenario)
    ok, found = True, []
    for file in files:
        try:
            checked = check_file(file, honours=honours, platforms=platforms, secrets=secrets, by_ansible=by_ansible)
        except InvalidInput as error:
            errors, warnings, summary = error.problems, _NONE, ""
        else:
            errors, warnings, summary = checked.errors, checked.warnings, _summary(checked)
        valid = not errors and not (strict and warnings)
        ok = ok and valid
        found.append({"file": str(file), "valid": valid, "errors": _plain(errors), "warnings": _plain(warnings)})
        if not as_json:
            _tell(file, errors, warnings, summary)
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return Exit.PASSED if ok else Exit.ERROR


@command.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="The plan as it was understood, for programs.")
def show(file: Path, as_json: bool) -> None:
    """Show the plays, tasks in the order of the run, and handlers of the plan FILE."""
    from harness.plan import read_plan

    plan = read_plan(file)
    if as_json:
        click.echo(plan.model_dump_json(indent=2, by_alias=True))
        return
    from harness.plan import render

    render.show(plan)


@command.command()
@click.argument("file", type=FILE)
@click.option(
    "--format", "form", type=click.Choice(["text", "dot", "mermaid", "json"]), default="text", show_default=True
)
def graph(file: Path, form: str) -> None:
    """Draw which task of the plan FILE waits for which."""
    from harness.plan import dependency_graph, read_plan
    from harness.plan.render import GRAPHS

    click.echo(GRAPHS[form](dependency_graph(read_plan(file))))


@command.command("decide")
@click.option("-s", "--scenario-name", "name", default="default", show_default=True, help="The scenario.")
@click.option("--report-format", type=click.Choice(["text", "json"]), default="text", help="A table, or for programs.")
@click.option("--json", "as_json", is_flag=True, help="The same as --report-format json.")
def decide_command(name: str, report_format: str, as_json: bool) -> None:
    """Show how each platform of a scenario would get its plan, and why.

    Nothing is created: a platform is what the scenario says it will be.
    """
    from harness import registry
    from harness.deploy.become import by_user
    from harness.deploy.known import decide_all, expected_facts
    from harness.lifecycle.plans import slices_of

    scenario = _load(name)
    compiler = registry.compiler(scenario.provisioner.compiler)
    strategies = {spec.name: scenario.strategy(spec.name) for spec in scenario.platforms}
    facts = {spec.name: expected_facts(spec) for spec in scenario.platforms}
    payloads = by_user(slices_of(scenario, scenario.provisioner.secrets), facts, compiler.honours())
    decisions = decide_all(payloads, strategies, facts, compiler)
    from harness.report.decisions import as_rows, as_values

    if as_json or report_format == "json":
        import json

        click.echo(json.dumps(as_values(decisions.values(), strategies), indent=2, ensure_ascii=False))
        return
    from harness.cli.table import table

    click.echo(table(["Platform", "Strategy", "Method", "Reason"], as_rows(decisions.values(), strategies)))


@command.command()
@click.argument("file", type=FILE)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only for this host; repeatable.")
@click.option("--target", metavar="TRIPLE", help="Target triple; this machine's unless given.")
@click.option("-o", "--output", type=FILE, help="Where the plan goes; a folder when there are several. Else stdout.")
@click.option("--validate/--no-validate", default=True, help="Whether what rustle-deploy does not honour is refused.")
def convert(file: Path, hosts: tuple[str, ...], target: str | None, output: Path | None, validate: bool) -> None:
    """Rewrite the plan FILE, in either format, to exactly what rustle-deploy is given.

    Hosts with the same tasks share one plan; a further plan is written for each further list of tasks.
    """
    from harness.compile.convert import converted

    for path, plan in converted(file, hosts=hosts, target=target, output=output, validate=validate):
        if path is None:
            click.echo(plan.decode())
        else:
            _write(path, plan.decode())
            click.echo(path)


def _write(path: Path, text: str) -> None:
    from harness.atomic import write_atomically
    from harness.errors import HarnessError

    try:
        write_atomically(path, text)
    except OSError as error:
        words = f"the plan cannot be written to {path}: {error.strerror or error}"
        raise HarnessError(words, hint="name another place with --output") from error


def _load(name: str) -> Scenario:
    from harness.scenario import Overrides, find_project, load_scenario, load_settings

    project = find_project(Path.cwd())
    return load_scenario(project, name, settings=load_settings(project, {}), overrides=Overrides())


def _of_scenario(name: str | None) -> tuple[list[str] | None, list[str] | None, list[str]]:
    """The names of a scenario's platforms, of its secrets, and of the platforms that Ansible may do a task on."""
    if name is None:
        return None, None, []
    scenario = _load(name)
    platforms = [platform.name for platform in scenario.platforms]
    return platforms, list(scenario.provisioner.secrets), scenario.by_ansible()


def _summary(checked: Checked) -> str:
    from harness.report.text import plural

    tasks = sum(len(batch.tasks) for play in checked.plan.plays for batch in play.batches)
    return f"{plural(tasks, 'task')}, {plural(len(checked.plan.hosts), 'host')}"


def _plain(problems: tuple[Problem, ...]) -> list[dict[str, str | None]]:
    return [{"where": one.where, "message": one.message, "hint": one.hint} for one in problems]


def _tell(file: Path, errors: tuple[Problem, ...], warnings: tuple[Problem, ...], summary: str) -> None:
    from harness.cli.outcome import show as show_error
    from harness.errors import InvalidInput

    if errors:
        show_error(InvalidInput(str(file), errors))
    else:
        click.secho("valid ", fg="green", nl=False)
        click.echo(f"{file}: {summary}")
    for warning in warnings[:50]:
        click.secho("warning: ", fg="yellow", err=True, nl=False)
        click.echo(str(warning), err=True)
        if warning.hint:
            click.echo(f"      {warning.hint}", err=True)
    if len(warnings) > 50:
        click.echo(f"  ... and {len(warnings) - 50} more warnings", err=True)
