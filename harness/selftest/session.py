"""One runner on fresh platforms: run, run again, looked at. The steps are those of every user's run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cancellation import Cancellation
from harness.compile.embed import Stub
from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.lifecycle.binaries import Binaries
from harness.lifecycle.compilation import compile_plan
from harness.lifecycle.context import Context, RunOptions
from harness.lifecycle.events import Silent
from harness.lifecycle.expected import failures
from harness.lifecycle.failures import StepFailed, StepSkipped
from harness.lifecycle.run import new_run
from harness.lifecycle.steps import step_of
from harness.lifecycle.steps.converge import checked_plan, named
from harness.lifecycle.steps.verify import job_of
from harness.models.results import Failed
from harness.models.scenario import Scenario
from harness.models.selftest import Catch
from harness.scratch import scratch
from harness.selftest.forge import Forge, Order, written
from harness.verify.conduct.catalogue import SECOND_RUN
from harness.verify.here import judge
from harness.verify.planned import Planned

_ENDING_SECONDS = 60.0


@dataclass(frozen=True)
class Session:
    """`forge`: what each host gets instead of its honest binary; None: that one. `checks`: ids of those of a run's
    conduct that are made; None: as the scenario says."""

    scenario: Scenario
    cancellation: Cancellation
    stub: Stub | None = None
    forge: Forge | None = None
    timeout: float | None = None
    checks: frozenset[str] | None = None

    def run(self) -> list[Catch]:
        """All that accused the runner. Raises HarnessError for what has nothing to do with it."""
        run = new_run(self.scenario, "test", RunOptions(snapshots=False, checks=self.checks), Silent())
        with scratch("selftest") as folder, run.opened() as (opened, _):
            context = replace(opened, cancellation=self.cancellation)
            with _destroyed(context):
                for step in ("create", "prepare"):
                    if failure := _do(context, step):
                        raise HarnessError(f"{step}: {failure.reason}")
                self._compile(context, folder)
                # How long platforms take to be made says nothing about a runner.
                deadline = Deadline(self.timeout or context.scenario.timeout_seconds)
                return list(_catches(replace(context, deadline=deadline)))

    def _compile(self, context: Context, folder: Path) -> None:
        """Integrity checks have been by the time that a binary is replaced: nothing but what it does can betray it."""
        checked = checked_plan(context)
        try:
            binaries = compile_plan(context, checked, context.connections("converge"), step="converge")
        except StepFailed as failure:
            raise HarnessError(failure.reason) from failure
        if self.forge is not None:
            binaries = self._forged(binaries, context.secrets, folder)
        context.binaries[checked.path] = binaries

    def _forged(self, binaries: Binaries, secrets: Mapping[str, str], folder: Path) -> Binaries:
        assert self.forge is not None and self.stub is not None
        forged = {}
        for host, honest in binaries.of_host.items():
            order = Order(host, honest, dict(binaries.payloads), self.stub, dict(secrets))
            forged[host] = written(order, self.forge, folder)
        return replace(binaries, of_host=forged)


def _catches(context: Context) -> Iterator[Catch]:
    failed = list(_converge(context))
    second = [] if failed else list(_idempotence(context))
    yield from failed
    yield from _conduct(context)
    yield from second
    if context.deadline.expired():
        return
    yield from _verified(context)


def _conduct(context: Context) -> Iterator[Catch]:
    """What the checks of its conduct saw (docs/checks.md)."""
    for result in context.ledger.conduct:
        if result.outcome == "failed":
            host, _, rest = result.check.partition("::")
            words = f"{rest}: expected {result.expected}, seen: {result.actual}"
            yield Catch(check=rest.rpartition("::")[2] or rest, host=host, observation=_line(words))


def _converge(context: Context) -> Iterator[Catch]:
    """What the records and the report say against each other and the exit status, and tasks that failed unasked."""
    failure = _do(context, "converge")
    if failure is None:
        return
    expected = context.scenario.verifier.expected_outcomes
    results = context.ledger.host_results
    for host, result in results.items():
        if result.error:
            yield Catch(check="run", host=host, observation=_line(result.error))
        for task in failures(result, expected):
            words = task.status.error if isinstance(task.status, Failed) else ""
            yield Catch(check="task", host=host, observation=f"{named(task)} failed: {_line(words)}")
    if not results:
        yield Catch(check="run", host="", observation=_line(failure.words))


def _idempotence(context: Context) -> Iterator[Catch]:
    """What the step itself says; what changed in the second run the check of that name tells."""
    failure = _do(context, "idempotence")
    if failure is None or any(one.outcome == "failed" and SECOND_RUN in one.check for one in context.ledger.conduct):
        return
    for line in failure.reason.splitlines()[1:] or [failure.reason]:
        host, _, words = line.partition(": ")
        yield Catch(check="idempotence", host=host, observation=words or line)


def _verified(context: Context) -> Iterator[Catch]:
    for check, verdict in judge(job_of(context), context.fleet.connection):
        if verdict.outcome == "failed":
            words = f"{check.id}: expected {verdict.expected}, actual {verdict.actual}"
            yield Catch(
                check=check.question.label,
                host=check.host,
                observation=context.mask.text(words),
                expectation=not isinstance(check.question, Planned),
            )


def _do(context: Context, step: str) -> StepFailed | None:
    """The step's failure, if any. Raises HarnessError where the runner had no part in it."""
    try:
        step_of(context, step)(context)
    except StepSkipped:
        return None
    except StepFailed as failure:
        if failure.outcome == "error" and failure.stage != "run":
            raise HarnessError(f"{step}: {failure.words}") from failure
        return failure
    return None


@contextmanager
def _destroyed(context: Context) -> Iterator[None]:
    """Its platforms go, however it ends."""
    try:
        yield
    finally:
        _do(replace(context, deadline=Deadline(_ENDING_SECONDS), cancellation=Cancellation()), "destroy")


def _line(text: str) -> str:
    return " ".join(text.split())
