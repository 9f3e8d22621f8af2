"""One run of one verb on one scenario: locks, journal and folder around the walk."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from harness import registry
from harness.atomic import write_atomically
from harness.deadline import Deadline
from harness.drivers.base import RunId
from harness.errors import HarnessError, Interrupted, InvalidInput, Problem, UsageError
from harness.exits import Exit
from harness.lifecycle.context import Context, DestroyPolicy, RunOptions
from harness.lifecycle.events import Observer
from harness.lifecycle.faults import Faults, ways_wanted
from harness.lifecycle.fleet import Fleet, Member
from harness.lifecycle.journal import Journal
from harness.lifecycle.ledger import Ledger
from harness.lifecycle.locks import Holder
from harness.lifecycle.orphans import clear_stale
from harness.lifecycle.run_log import Observers, RunLog
from harness.lifecycle.sequence import PLAN_STEPS, TRANSIENT, steps_of
from harness.lifecycle.signals import Signals
from harness.lifecycle.validation import build_report
from harness.lifecycle.walk import Walker
from harness.lifecycle.workspace import KEPT_RUNS, Workspace, new_run_id
from harness.models.results import Fail, TestReport
from harness.models.scenario import Scenario
from harness.secrets import Mask, read_secrets


@dataclass(frozen=True)
class RunResult:
    """`ledger`: all that the run brought forth."""

    report: TestReport
    exit_code: Exit
    ledger: Ledger


_WITHOUT_PLAN = ("create", "prepare", "cleanup", "destroy", "syntax", "dependency")
"""Verbs that do not run the plan: for them a secret may be missing."""


class CannotRun(HarnessError):
    """Nothing is wrong with the scenario, but what it needs is not here."""


def require_drivers(scenario: Scenario) -> None:
    """Raises CannotRun with everything that keeps the scenario's drivers from working here."""
    problems: list[Problem] = []
    hint: str | None = None
    for name in sorted({platform.driver for platform in scenario.platforms}):
        try:
            problems += registry.driver(name).obstacles()
        except UsageError:
            raise
        except HarnessError as error:
            problems.append(Problem("", error.message, error.hint))
    if problems:
        lines = [f"{problem}\n      {problem.hint}" if problem.hint else str(problem) for problem in problems]
        raise CannotRun("\n  ".join([f"scenario {scenario.name!r} cannot be run here:", *lines]), hint=hint)


def perform(scenario: Scenario, verb: str, options: RunOptions, observer: Observer) -> RunResult:
    """Run `verb`. What goes wrong inside a step is in the result; raised is what keeps the run from beginning
    (state that cannot be written, a lock that is held, missing secrets, a driver that cannot work here).
    """
    return new_run(scenario, verb, options, observer).perform()


def new_run(scenario: Scenario, verb: str, options: RunOptions, observer: Observer) -> Run:
    """A run that may begin. Raises as `perform` says."""
    if options.arguments and scenario.provisioner.name != "ansible" and verb not in ("test", "verify"):
        raise UsageError(
            f"{verb} passes nothing on: {' '.join(options.arguments)}",
            hint="arguments behind `--` are ansible-playbook's, where the provisioner is Ansible, or pytest's (verify)",
        )
    check_platforms(scenario, options)
    if verb != "destroy":
        require_drivers(scenario)
    secrets = read_secrets(scenario.provisioner.secrets, scenario=scenario.name, all_of_them=verb not in _WITHOUT_PLAN)
    return Run(scenario, verb, options, observer, secrets)


def _with_standby(context: Context, steps: Sequence[str], stack: ExitStack) -> Context:
    """pytest is loaded while platforms are made and plans compiled: half of what a small verify step takes."""
    verifier = context.scenario.verifier
    if "verify" not in steps or not verifier.enabled or verifier.name != "testinfra":
        return context
    from harness.verify.process import Standby

    return replace(context, standby=stack.enter_context(Standby()))


def _with_compiler(context: Context, steps: Sequence[str]) -> Context:
    """It finds its toolchain while platforms are made."""
    if context.scenario.provisioner.name != "binary" or not PLAN_STEPS.intersection(steps):
        return context
    compiler = registry.compiler(context.scenario.provisioner.compiler)
    threading.Thread(target=compiler.warm_up, name="harness-compiler", daemon=True).start()
    return replace(context, compiler=compiler)


class Run:
    """The resources of one run, opened in order and closed in reverse, whatever happens."""

    def __init__(
        self, scenario: Scenario, verb: str, options: RunOptions, observer: Observer, secrets: dict[str, str]
    ) -> None:
        self._scenario = scenario
        self._verb = verb
        self._options = options
        self._secrets = secrets
        self._outer = observer
        self._workspace = Workspace.of(scenario.ref.project)
        self._id: RunId = new_run_id()
        self._fleet: Fleet | None = None

    def perform(self) -> RunResult:
        with self.opened() as (context, log):
            return self._walk(context, log)

    @contextmanager
    def opened(self) -> Iterator[tuple[Context, RunLog]]:
        """Its context and log, written down as begun; instances are not touched on the way out."""
        with Signals(self._last_words) as signals, ExitStack() as stack:
            self._workspace.prepare()
            journal = stack.enter_context(Journal.open(self._workspace.database))
            journal.guard = signals.deferred
            if self._verb not in TRANSIENT or self._scenario.driver == "default":
                self._lock_scenario(stack)
            stack.enter_context(self._workspace.run_lock(self._id).acquire(self._verb, timeout=5.0))
            folder = self._workspace.open_run(self._id)
            journal.forget_runs(self._workspace.prune(KEPT_RUNS))
            scenario = self._scenario
            if self._verb in TRANSIENT and scenario.provisioner.name == "ansible":
                from harness.ansible.ephemeral import with_ephemeral

                scenario = with_ephemeral(scenario, folder)
            log = RunLog(folder)
            observer = Observers([self._outer, log])
            deadline = Deadline(self._options.timeout or self._scenario.timeout_seconds)
            fleet = stack.enter_context(self._open_fleet(journal, deadline))
            context = Context(
                scenario=scenario,
                verb=self._verb,
                options=self._options,
                run=self._id,
                folder=folder,
                workspace=self._workspace,
                journal=journal,
                fleet=fleet,
                observer=observer,
                deadline=deadline,
                secrets=self._secrets,
                mask=Mask(self._secrets.values()),
                faults=Faults(self._scenario.provisioner.faults, fleet),
            )
            context.faults.tell_to(partial(context.event, "fault"), context.warn)
            journal.begin_run(self._id, self._scenario.name, self._verb)
            stack.callback(context.faults.end)
            yield context, log

    def _walk(self, context: Context, log: RunLog) -> RunResult:
        for problem in self._scenario.warnings:
            context.warn(str(problem))
        if self._verb not in TRANSIENT:
            clear_stale(self._workspace, context.journal, self._scenario.name)
            context.fleet.adopt(context.note, to_destroy=self._verb == "destroy")
        steps = steps_of(self._scenario, self._verb, done=_done(context))
        context = replace(context, steps=steps)
        context.observer.run_started(self._scenario.name, self._id.value, steps)
        with ExitStack() as stack, suppress(Interrupted):  # what it made is cleaned up, and the ledger knows
            Walker(_with_compiler(_with_standby(context, steps, stack), steps), log).walk(steps)
        self._tell_left(context)
        report = build_report(context)
        code = exit_code(context, report)
        with suppress(HarnessError):  # a full disk has been told of by then
            context.journal.end_run(self._id, code.words)
        self._keep_report(context, report)
        context.observer.run_ended(self._scenario.name, report)
        return RunResult(report, code, context.ledger)

    def _tell_left(self, context: Context) -> None:
        """What this run wanted to be rid of and is not: a driver that failed, or did not come back in time."""
        with suppress(HarnessError):
            rows = context.journal.instances(self._scenario.name)
            left = [f"{row.platform} ({row.driver})" for row in rows if row.run == self._id and not row.keep]
            if left:
                context.note(f"left behind: {', '.join(left)}; harness destroy --orphans removes it")

    def _keep_report(self, context: Context, report: TestReport) -> None:
        try:
            write_atomically(self._workspace.report(self._id), report.model_dump_json(indent=2))
        except OSError as error:
            context.observer.warning(
                self._scenario.name, f"the report could not be kept in {context.folder}: {error.strerror}"
            )

    def _open_fleet(self, journal: Journal, clock: Deadline) -> Fleet:
        specs = [
            spec
            for spec in self._scenario.platforms
            if not self._options.platforms or spec.name in self._options.platforms
        ]
        owned = self._verb not in TRANSIENT
        keep = owned or self._options.destroy is not DestroyPolicy.ALWAYS
        ways = ways_wanted({spec.name: spec.shaping for spec in specs}, self._scenario.provisioner.faults)
        self._fleet = Fleet(
            self._scenario.ref, specs, self._id, journal, keep=keep, owned=owned, ways=ways, clock=clock
        )
        return self._fleet

    def _lock_scenario(self, stack: ExitStack) -> None:
        def waiting(holder: Holder | None) -> None:
            self._outer.warning(
                self._scenario.name, f"waiting for {holder or 'another process'} to be done with this scenario"
            )

        lock = self._workspace.scenario_lock(self._scenario.name)
        stack.enter_context(lock.acquire(self._verb, timeout=self._options.lock_timeout, on_wait=waiting))

    def _last_words(self) -> str:
        members = [member for member in self._fleet.members.values() if member.fresh] if self._fleet else []
        if not members:
            return "Should anything be left, `harness destroy --orphans` removes it."
        left = ", ".join(f"{member.spec.name} ({member.spec.driver})" for member in members)
        if self._verb in TRANSIENT and self._options.destroy is DestroyPolicy.NEVER:
            return f"Kept: {left}. `harness destroy` removes it."
        self._forsake(members)
        return f"Left behind: {left}. `harness destroy --orphans` removes it."

    def _forsake(self, members: Sequence[Member]) -> None:
        """Instances whose destruction has perhaps not begun are orphans from now on, not kept on purpose."""

        def write() -> None:
            with suppress(HarnessError), closing(Journal.open(self._workspace.database)) as journal:
                for member in members:
                    journal.destroying(member.run, self._scenario.name, member.spec.name)

        # A thread and a connection of its own: the thread that is interrupted may be in the middle of writing.
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        writer.join(1.0)


def exit_code(context: Context, report: TestReport) -> Exit:
    ledger = context.ledger
    bad = [step for step in ledger.steps if step.outcome in ("failed", "error")]
    if ledger.interrupted:
        return Exit.INTERRUPTED
    if any(step.outcome == "error" for step in bad):
        return Exit.ERROR
    checked = ledger.verification
    untested = checked is not None and checked.tests_run == 0 and not checked.failed and not checked.errors
    if ledger.nothing_ran and all(step.step == "converge" for step in bad):
        return Exit.NOTHING_TESTED
    if untested and all(step.step == "verify" for step in bad):
        return Exit.NOTHING_TESTED
    return Exit.FAILED if isinstance(report.validation_report.overall_result, Fail) else Exit.PASSED


def forget_artifacts(report: TestReport, workspace: Workspace) -> None:
    """Remove the run's folder (for `preserve_artifacts = false`)."""
    shutil.rmtree(workspace.run_folder(RunId(report.run)), ignore_errors=True)


def _done(context: Context) -> list[str]:
    """The steps that already hold for every platform asked for."""
    if context.verb in TRANSIENT or context.fleet.missing:
        return []
    members = [context.fleet.members[name] for name in context.hosts]
    done = ["create"]
    if all(member.prepared for member in members):
        done.append("prepare")
    if all(member.converged_run is not None for member in members):
        done.append("converge")
    return done


def check_platforms(scenario: Scenario, options: RunOptions) -> None:
    """Raises InvalidInput for platforms that were asked for and that the scenario does not have."""
    known = [platform.name for platform in scenario.platforms]
    unknown = [name for name in options.platforms if name not in known]
    if unknown:
        cure = f"it has: {', '.join(known)}" if known else "it names none: `-- --limit HOST` is for its inventory's"
        raise InvalidInput(
            f"scenario {scenario.name!r}",
            [Problem("", f"it has no platform {name!r}", cure) for name in unknown],
        )
