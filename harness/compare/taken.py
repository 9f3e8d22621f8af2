"""One side of a comparison: the plan run in one way on platforms of its own, and all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.compare.ways import Way
from harness.deploy.decide import NAMES
from harness.errors import HarnessError, Interrupted
from harness.lifecycle.context import RunOptions
from harness.lifecycle.events import Observer, Silent
from harness.lifecycle.ledger import Ledger
from harness.lifecycle.observed import Observed
from harness.lifecycle.run import RunResult, perform
from harness.lifecycle.run_log import Observers
from harness.models.compare import HostSide, Side
from harness.models.results import HostExecutionResult, StepResult
from harness.models.runner import TaskRecord
from harness.models.scenario import Scenario


class Records(Silent):
    """Keeps what was told of the plan's tasks, host by host in the order in which they ended."""

    def __init__(self) -> None:
        self.tasks: dict[str, list[TaskRecord]] = {}
        self._step = ""

    def step_started(self, scenario: str, step: str) -> None:
        self._step = step

    def task_ended(self, scenario: str, host: str, record: TaskRecord) -> None:
        if self._step != "observe":
            return
        records = self.tasks.setdefault(host, [])
        if record.ignored and records and records[-1].task_id == record.task_id:
            records.pop()  # told once more: it was rescued
        records.append(record)


class _Side(Silent):
    """Tells of one side's run under the side's name. How the run as a whole ended says nothing here."""

    def __init__(self, outer: Observer, name: str) -> None:
        self._outer = outer
        self._name = name

    def run_started(self, scenario: str, run: str, sequence: tuple[str, ...]) -> None:
        self._outer.run_started(self._of(scenario), run, sequence)

    def step_started(self, scenario: str, step: str) -> None:
        self._outer.step_started(self._of(scenario), step)

    def step_ended(self, scenario: str, result: StepResult) -> None:
        self._outer.step_ended(self._of(scenario), result)

    def host_event(self, scenario: str, step: str, host: str, message: str) -> None:
        self._outer.host_event(self._of(scenario), step, host, message)

    def task_ended(self, scenario: str, host: str, record: TaskRecord) -> None:
        self._outer.task_ended(self._of(scenario), host, record)

    def warning(self, scenario: str, message: str) -> None:
        self._outer.warning(self._of(scenario), message)

    def _of(self, scenario: str) -> str:
        return f"{scenario} by {self._name}"


@dataclass(frozen=True)
class Taken:
    """What one side brought forth. `complete`: the plan was run, so that it can be compared."""

    way: Way
    side: Side
    tasks: dict[str, list[TaskRecord]]
    ledger: Ledger
    complete: bool

    @property
    def hosts(self) -> list[str]:
        """Those that had anything to do."""
        return list(self.ledger.host_results)

    def of(self, host: str) -> list[TaskRecord]:
        """Its tasks in the order in which they ended."""
        return self.tasks.get(host, [])

    def method(self, host: str) -> str:
        result = self.ledger.host_results.get(host)
        return result.deployment_method if result is not None else "none"

    @property
    def all_touched(self) -> frozenset[str]:
        """On any of its hosts."""
        return frozenset(path for observed in self.ledger.observed.values() for path in observed.touched)

    def broken(self, host: str) -> str | None:
        """Why its run did not come to its end."""
        result = self.ledger.host_results.get(host)
        return "no task was for it" if result is None else result.error


def take(way: Way, options: RunOptions, observer: Observer) -> Taken:
    """Raises what `perform` raises, and Interrupted."""
    records = Records()
    result = _perform(way, way.scenario, options, Observers([_Side(observer, way.name), records]))
    scenario = way.scenario
    side = Side(
        name=way.name,
        compiler=scenario.provisioner.compiler.name,
        strategies={spec.name: NAMES[scenario.strategy(spec.name).tag] for spec in scenario.platforms},
        run=result.report.run,
        hosts=[_host_side(one, one.host in result.ledger.observed) for one in result.ledger.host_results.values()],
        seconds=result.ledger.execution_time,
        error=_error(result),
    )
    done = any(step.step == "observe" and step.outcome == "passed" for step in result.report.steps)
    return Taken(way, side, records.tasks, result.ledger, done)


def survey(way: Way, options: RunOptions) -> dict[str, Observed]:
    """One more fresh platform for each host, on which nothing is run: the content of `options.sums` there. Raises what
    `perform` raises, Interrupted, and HarnessError where they could not be looked at."""
    sequence = tuple("survey" if step == "observe" else step for step in way.scenario.sequences["compare"])
    scenario = replace(way.scenario, sequences={**way.scenario.sequences, "compare": sequence})
    result = _perform(way, scenario, options, Silent())
    if (why := _error(result)) is not None:
        raise HarnessError(f"a fresh platform of {way.name} could not be looked at", hint=why)
    return result.ledger.observed


def _perform(way: Way, scenario: Scenario, options: RunOptions, observer: Observer) -> RunResult:
    result = perform(scenario, "compare", options, observer)
    if result.ledger.interrupted:
        raise Interrupted(f"interrupted while {way.name} was run")
    return result


def _error(result: RunResult) -> str | None:
    bad = [step for step in result.report.steps if step.outcome in ("failed", "error")]
    return "\n".join(f"{step.step}: {step.reason or step.outcome}" for step in bad) or None


def _host_side(result: HostExecutionResult, looked_at: bool) -> HostSide:
    return HostSide(
        host=result.host,
        method=result.deployment_method,
        tasks=len(result.task_results),
        seconds=result.execution_time,
        machine=looked_at,
    )
