"""Fresh platforms for each measurement, and a look at what was done to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from harness.errors import HarnessError, UsageError
from harness.lifecycle.context import Context, RunOptions
from harness.lifecycle.events import Observer
from harness.lifecycle.journal import Journal
from harness.lifecycle.run import RunResult, new_run, perform
from harness.lifecycle.workspace import Workspace
from harness.models.bench import Passage
from harness.models.scenario import Scenario
from harness.models.shaping import Shaping


class BenchFailed(HarnessError):
    """A run that should be measured did not come to its end."""


def verb_failed(verb: str, words: str) -> BenchFailed:
    """`words`: what it said, lines."""
    told = f"harness {verb} failed, so nothing is measured"
    return BenchFailed("\n".join([told, *(f"  {line}" for line in words.strip().splitlines())]))


@dataclass(frozen=True)
class Ground:
    """A scenario and the platforms of one round. `arguments`: what a `harness` of its own has to be told so that it
    sees the same scenario."""

    scenario: Scenario
    options: RunOptions
    observer: Observer
    arguments: tuple[str, ...]

    @property
    def platforms(self) -> tuple[str, ...]:
        return self.options.platforms or tuple(platform.name for platform in self.scenario.platforms)

    def check_free(self) -> None:
        """Raises UsageError where the scenario keeps platforms: they would be destroyed."""
        with closing(Journal.open_for_reading(Workspace.of(self.scenario.ref.project).database)) as journal:
            kept = sorted(journal.kept(self.scenario.name))
        if kept:
            raise UsageError(
                f"the scenario keeps platforms ({', '.join(kept)}), and a benchmark makes each of them anew",
                hint=f"harness destroy -s {self.scenario.name}",
            )

    def renew(self) -> None:
        """Destroy what there is, and create and prepare it anew."""
        self.clear()
        self._do("create")

    def clear(self) -> None:
        self._do("destroy")

    def verify(self) -> None:
        """The scenario's own tests over what was done last. Raises BenchFailed."""
        self._do("verify")

    def _do(self, verb: str) -> RunResult:
        result = perform(self.scenario, verb, self.options, self.observer)
        if result.exit_code not in (0, 3 if verb == "verify" else 0):
            wrong = [step for step in result.report.steps if step.outcome in ("failed", "error")]
            raise verb_failed(verb, "\n".join(f"{step.step}: {step.reason}" for step in wrong))
        return result

    @contextmanager
    def opened(self, *, counting: bool = False) -> Iterator[Context]:
        """A run of ours over the platforms as they are, connections and all. `counting`: through proxies that count."""
        scenario = self.scenario
        if counting:
            shaped = tuple(replace(one, shaping=one.shaping or Shaping()) for one in scenario.platforms)
            scenario = replace(scenario, platforms=shaped)
        with new_run(scenario, "converge", self.options, self.observer).opened() as (context, _):
            context.fleet.adopt(context.note)
            yield context


def passage(context: Context) -> Passage:
    """What the proxies have counted so far, over all platforms."""
    traffics = [context.fleet.ways.traffic(name) for name in context.hosts]
    return Passage(
        connections=sum(one.connections for one in traffics),
        bytes_up=sum(one.up for one in traffics),
        bytes_down=sum(one.down for one in traffics),
        round_trips=sum(one.round_trips for one in traffics),
    )
