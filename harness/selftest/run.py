"""All mutants and the honest runner, several at once, each on platforms of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.cancellation import Cancellation
from harness.compile.base import CompileSettings
from harness.compile.embed import Stub
from harness.compile.targets import host_target
from harness.data import data_dir
from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.lifecycle.crew import side_by_side
from harness.lifecycle.run import require_drivers
from harness.lifecycle.signals import Signals
from harness.models.scenario import Scenario
from harness.models.selftest import Accusation, Catch, MutantOutcome, SelftestReport
from harness.scenario import load_scenario, load_settings, scenario_from_fixture
from harness.scratch import scratch
from harness.selftest.catalogue import MUTANTS, Mutant
from harness.selftest.session import Session
from harness.selftest.stub import MutantStubs
from harness.verify.conduct.catalogue import KINDS

OWN = ("files", "commands")
"""Scenarios made for this; they lie in fixtures/selftest."""
FIXTURES = (
    "simple_plan",
    "multi_host_plan",
    "dependency_plan",
    "error_plan",
    "mixed_modules_plan",
    "older_format_plan",
)
"""Fixtures that every user has, and that need no image."""
EVERY_CHECK = frozenset(KINDS)
"""The honest runner has to face those that are made on request only, too."""
_TIME_LIMIT = 1800.0
"""Seconds for all of it."""


@dataclass(frozen=True)
class SelftestOptions:
    """`honest`: how often the honest runner runs a scenario. `workers`: sessions at once. `tell`: progress."""

    mutants: Sequence[Mutant] = MUTANTS
    honest: int = 100
    workers: int = 2 * (os.cpu_count() or 1)
    tell: Callable[[str], None] = lambda words: None


def selftest(options: SelftestOptions) -> SelftestReport:
    """Raises ToolchainMissing without cargo, CannotRun where the native driver does not work, HarnessError."""
    try:
        return _selftest(options)
    except OSError as error:
        raise HarnessError(
            f"the self-test cannot write into {error.filename or tempfile.gettempdir()}: {error.strerror or error}",
            hint="set TMPDIR to a folder with some 100 MB to spare",
        ) from error


def _selftest(options: SelftestOptions) -> SelftestReport:
    started, clock = datetime.now(UTC), time.monotonic()
    with Signals(lambda: "Should anything be left, `harness destroy --orphans` removes it."), _project() as project:
        scenarios = _scenarios(project)
        for scenario in scenarios.values():
            require_drivers(scenario)
        stub, building = _stub(options)
        return _Selftest(options, scenarios, stub).run(started, clock, building)


@contextmanager
def _project() -> Iterator[Path]:
    """A project of its own, with a secret that nobody has seen before: nothing is left beside the user's."""
    with scratch("selftest") as project:
        shutil.copytree(data_dir("fixtures") / "selftest" / "molecule", project / "molecule")
        (project / "molecule" / "files" / "token").write_text(f"token-{secrets.token_hex(8)}", encoding="utf-8")
        yield project


def _scenarios(project: Path) -> dict[str, Scenario]:
    settings = load_settings(project)
    found = {name: load_scenario(project, name, settings=settings) for name in OWN}
    for name in FIXTURES:
        scenario = scenario_from_fixture(name, "native", settings)
        found[name] = replace(scenario, ref=replace(scenario.ref, project=project))
    return found


def _stub(options: SelftestOptions) -> tuple[Stub, float]:
    """The mutants' stub, and the seconds that it took."""
    began = time.monotonic()
    stub, _ = MutantStubs().stub(host_target(), CompileSettings(progress=options.tell))
    return stub, time.monotonic() - began


@dataclass
class _Selftest:
    options: SelftestOptions
    scenarios: Mapping[str, Scenario]
    stub: Stub
    cancellation: Cancellation = field(default_factory=Cancellation)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: int = 0

    def run(self, started: datetime, clock: float, building: float) -> SelftestReport:
        mutants = {mutant.name: mutant for mutant in self.options.mutants}
        honest = self._honest()
        # The longest first, so that none is waited for alone.
        order = sorted(mutants, key=lambda name: mutants[name].timeout is None)
        outcome = side_by_side(
            [*order, *honest],
            lambda name: self._mutant(mutants[name]) if name in mutants else self._run(name, honest[name]),
            workers=self.options.workers,
            deadline=Deadline(_TIME_LIMIT),
            cancellation=self.cancellation,
        )
        for name, error in outcome.failed.items():
            raise error if not isinstance(error, HarnessError) else _told(name, error)
        outcomes = [one for name in mutants if isinstance(one := outcome.done[name], MutantOutcome)]
        accusations = [one for name in honest if isinstance(one := outcome.done[name], Accusation)]
        return SelftestReport(
            mutants=outcomes,
            honest_runs=len(honest),
            false_accusations=len(accusations),
            accusations=accusations,
            started=started,
            seconds=time.monotonic() - clock,
            building=building,
        )

    def _honest(self) -> dict[str, str]:
        """The scenario of each run of the honest runner: all in turn."""
        names = list(self.scenarios)
        return {f"honest-{number + 1}": names[number % len(names)] for number in range(self.options.honest)}

    def _mutant(self, mutant: Mutant) -> MutantOutcome:
        began = time.monotonic()
        scenario = self.scenarios[mutant.scenario]
        session = Session(
            scenario, self.cancellation, self.stub, mutant.forge, mutant.timeout, EVERY_CHECK if mutant.full else None
        )
        catches = _first_of_each(session.run())
        kinds = dict.fromkeys(catch.check for catch in catches)
        seconds = time.monotonic() - began
        self._tell(f"{mutant.name}: {', '.join(kinds) or 'NOT CAUGHT'} ({seconds:.1f} s)")
        return MutantOutcome(
            name=mutant.name,
            what=mutant.what,
            scenario=mutant.scenario,
            caught_by=list(kinds),
            without_expectations=any(not catch.expectation for catch in catches),
            catches=catches,
            seconds=seconds,
        )

    def _run(self, name: str, scenario: str) -> Accusation | None:
        catches = Session(self.scenarios[scenario], self.cancellation, checks=EVERY_CHECK).run()
        verdict = f"ACCUSED of {catches[0].observation}" if catches else "not accused"
        self._tell(f"{name} ({scenario}): {verdict}")
        return Accusation(scenario=scenario, run=int(name.split("-")[1]), catches=catches) if catches else None

    def _tell(self, words: str) -> None:
        with self._lock:
            self._ended += 1
            total = len(self.options.mutants) + self.options.honest
            self.options.tell(f"[{self._ended}/{total}] {words}")


def _first_of_each(catches: Sequence[Catch]) -> list[Catch]:
    """Of each kind of check what it saw first, those without expectations before the others."""
    found: dict[tuple[bool, str], Catch] = {}
    for catch in sorted(catches, key=lambda catch: catch.expectation):
        found.setdefault((catch.expectation, catch.check), catch)
    return list(found.values())


def _told(name: str, error: HarnessError) -> HarnessError:
    error.message = f"{name}: {error.message}"
    return error
