"""Scenarios chosen by name, glob, configuration or fixture; run one after another; one verdict over all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.errors import HarnessError, InvalidInput, Problem, UsageError
from harness.exits import GRAVEST_FIRST, Exit
from harness.lifecycle.context import DestroyPolicy, RunOptions
from harness.lifecycle.events import Observer
from harness.lifecycle.run import CannotRun, perform
from harness.lifecycle.sequence import TRANSIENT
from harness.lifecycle.shared import Shared, as_guest, has_work, host_of
from harness.models.results import TestReport, Warning
from harness.models.scenario import Scenario
from harness.scenario import Overrides, Settings, find_project, load_scenario, select_scenarios


@dataclass(frozen=True)
class Selection:
    """Which scenarios the command line asks for, and how they are to be read."""

    names: tuple[str, ...] = ()
    everything: bool = False
    exclude: tuple[str, ...] = ()
    category: str | None = None
    fixture: str | None = None
    config: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)


@dataclass(frozen=True)
class Chosen:
    """`named`: asked for by its own name, so that it may not be skipped. `host`: the scenario that makes and destroys
    the platforms for it, where its state is shared."""

    scenario: Scenario
    named: bool
    host: Scenario | None = None


@dataclass(frozen=True)
class Verdict:
    """How one scenario ended; `report` is None when it did not begin, and `reason` says why."""

    scenario: str
    code: Exit
    report: TestReport | None = None
    reason: str | None = None
    skipped: bool = False


def project_folder(selection: Selection) -> Path:
    """Where settings are read and state is kept. A fixture or a configuration needs no project around it."""
    if selection.fixture is None and selection.config is None:
        return find_project(Path.cwd())
    return project_or_here()


def project_or_here() -> Path:
    """The project around the current folder, else that folder itself."""
    here = Path.cwd()
    try:
        return find_project(here)
    except UsageError:
        return here


def choose(selection: Selection, settings: Settings) -> list[Chosen]:
    """Read every scenario asked for. Raises InvalidInput with the problems of all, UsageError when none fits."""
    if selection.fixture is not None or selection.config is not None:
        return [Chosen(_single(selection, settings), named=True)]
    project = find_project(Path.cwd())
    names = select_scenarios(
        project, selection.names, everything=selection.everything or _implied(selection), exclude=selection.exclude
    )
    chosen: list[Chosen] = []
    problems: list[Problem] = []
    load = partial(load_scenario, project, settings=settings, overrides=selection.overrides)
    for name in names:
        try:
            scenario = load(name)
            host = host_of(scenario, load)
        except InvalidInput as error:
            found = error.problems or [Problem(name, error.message)]
            problems += [problem for problem in found if problem not in problems]  # they may share a file
            continue
        if selection.category is None or scenario.category == selection.category:
            chosen.append(
                Chosen(
                    scenario,
                    named=name in (selection.names or (["default"] if not _wide(selection) else [])),
                    host=host,
                )
            )
    if problems:
        raise InvalidInput("scenarios" if len(names) > 1 else f"scenario {names[0]!r}", problems)
    if not chosen:
        raise UsageError(
            f"no scenario has the category {selection.category!r}",
            hint="it stands in molecule.yml as scenario.category; `harness list` shows the scenarios",
        )
    return chosen


def choose_one(selection: Selection, settings: Settings) -> Scenario:
    """The one scenario asked for. Raises UsageError for several, and for one that has no plan to compile."""
    chosen = choose(selection, settings)
    if len(chosen) != 1:
        raise UsageError("one scenario at a time", hint="name it with -s")
    scenario = chosen[0].scenario
    if scenario.provisioner.name != "binary":
        raise UsageError(
            f"scenario {scenario.name!r} has no plan to compile", hint="it needs `provisioner: {name: binary}`"
        )
    return scenario


def _implied(selection: Selection) -> bool:
    """--category alone means all scenarios of that category."""
    return selection.category is not None and not selection.names


def _wide(selection: Selection) -> bool:
    return selection.everything or _implied(selection)


def _single(selection: Selection, settings: Settings) -> Scenario:
    from harness.scenario import scenario_from_config, scenario_from_fixture

    if selection.config is not None:
        return scenario_from_config(selection.config, settings)
    assert selection.fixture is not None
    return scenario_from_fixture(selection.fixture, selection.overrides.driver, settings)


def perform_all(
    chosen: Sequence[Chosen],
    verb: str,
    options: RunOptions,
    observer: Observer,
    *,
    on_error: Callable[[HarnessError], None],
    on_skip: Callable[[str, str], None],
) -> list[Verdict]:
    """One scenario after another. An error of one does not keep the others from being run; an interrupt does.

    With a single scenario its error is raised.
    """

    run = partial(_perform_one, options=options, observer=observer, on_error=on_error, on_skip=on_skip)
    shared = Shared.of((one.host for one in chosen), verb)

    def by_host(host: Scenario, verb: str) -> Verdict:
        return replace(run(Chosen(host, named=True), verb), scenario=f"{host.name}: {verb}", report=None)

    verdicts = [by_host(host, "create") for host in shared.making]
    for one in chosen if all(verdict.code == 0 for verdict in verdicts) else ():
        guest = one if one.host is None else replace(one, scenario=as_guest(one.scenario))
        if one.host is None or has_work(one.scenario, verb):
            verdicts.append(run(guest, verb))
        if verdicts and verdicts[-1].code == Exit.INTERRUPTED:
            break
    failed = any(verdict.code for verdict in verdicts)
    kept = verb in TRANSIENT and (
        options.destroy is DestroyPolicy.NEVER or (options.destroy is DestroyPolicy.PASSING and failed)
    )
    return verdicts + [by_host(host, "destroy") for host in shared.unmaking if not kept]


def _perform_one(
    one: Chosen,
    verb: str,
    *,
    options: RunOptions,
    observer: Observer,
    on_error: Callable[[HarnessError], None],
    on_skip: Callable[[str, str], None],
) -> Verdict:
    name = one.scenario.name
    try:
        result = perform(one.scenario, verb, options, observer)
        return Verdict(name, result.exit_code, result.report)
    except CannotRun as error:
        if one.named:
            return _erred(name, error, on_error)
        on_skip(name, error.message)
        return Verdict(name, Exit.PASSED, reason=error.message, skipped=True)
    except HarnessError as error:
        return _erred(name, error, on_error)


def _erred(name: str, error: HarnessError, on_error: Callable[[HarnessError], None]) -> Verdict:
    on_error(error)
    return Verdict(name, error.exit_code, reason=error.message)


def overall(verdicts: Iterable[Verdict], *, strict: bool = False) -> Exit:
    """The exit status for all: the gravest."""
    all_of_them = list(verdicts)
    codes = {_strict(verdict) if strict else verdict.code for verdict in all_of_them if not verdict.skipped}
    if not codes:
        return Exit.ALL_SKIPPED
    return next(code for code in GRAVEST_FIRST if code in codes)


def _strict(verdict: Verdict) -> Exit:
    report = verdict.report
    warned = report is not None and isinstance(report.validation_report.overall_result, Warning)
    return Exit.FAILED if warned and verdict.code == Exit.PASSED else verdict.code
