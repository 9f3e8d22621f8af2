"""The binary and its baselines on the same fresh platforms, in turn, repeated."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness.lifecycle.failures import StepFailed
from harness.measure.by_ansible import ansible_default, ansible_pipelined, mitogen
from harness.measure.by_binary import ByBinary
from harness.measure.by_pyinfra import pyinfra
from harness.measure.clocks import Sample
from harness.measure.ground import BenchFailed, Ground
from harness.models.bench import BenchReport, BenchRound, Comparison, Contestant, Passage, Spread, TaskCost
from harness.report.text import plural


class Runs(Protocol):
    """Whoever can be measured."""

    @property
    def name(self) -> str: ...
    def run(self, ground: Ground) -> Sample: ...
    def count(self, ground: Ground) -> Passage: ...
    def verified(self, ground: Ground) -> None: ...


class Baseline(Runs, Protocol):
    """Who else can run a plan."""

    def check(self, ground: Ground) -> None:
        """Raises BenchFailed where it cannot run this one."""


BASELINES: Mapping[str, Callable[[], Baseline | str]] = {
    "ansible": ansible_default,
    "ansible-pipelined": ansible_pipelined,
    "mitogen": mitogen,
    "pyinfra": pyinfra,
}
"""What a plan can be run by beside its binary; text says why it cannot."""


@dataclass(frozen=True)
class BenchOptions:
    """`hosts`: how many of the scenario's platforms, one round each; all of them where empty. `cold`: compile once with
    an empty cache, too. `count`: one more run of each, through proxies, for bytes and round trips. `tell`: progress."""

    against: Sequence[str] = ("ansible-pipelined",)
    repeat: int = 5
    hosts: Sequence[int] = ()
    cold: bool = False
    count: bool = True
    verify: bool = True
    tell: Callable[[str], None] = lambda words: None


def bench(ground: Ground, options: BenchOptions) -> BenchReport:
    """Measure. The platforms are destroyed in the end, however it ends. Raises BenchFailed, HarnessError."""
    started = datetime.now(UTC)
    baselines, left_out = _baselines(options.against)
    for one in baselines:
        one.check(ground)
    ground.check_free()
    names = ground.platforms
    rounds = []
    cold = cold_compile(ground) if options.cold else None
    for count in options.hosts or (len(names),):
        here = replace(ground, options=replace(ground.options, platforms=names[:count], workers=max(count, 1)))
        try:
            rounds.append(_Round(here, baselines, options, cold).measure())
        finally:
            here.clear()
    tasks = {task.task_id for task in rounds[-1].contestants[0].tasks}
    return BenchReport(
        scenario=ground.scenario.name,
        started=started,
        repeat=options.repeat,
        tasks=len(tasks),
        processors=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        rounds=rounds,
        improvement_factor=rounds[-1].comparisons[0].improvement_factor,
        left_out=left_out,
    )


def _baselines(names: Sequence[str]) -> tuple[list[Baseline], list[str]]:
    """Those that can be had, and why others cannot. Raises BenchFailed where none is left."""
    made = [BASELINES[name]() for name in dict.fromkeys(names)]
    found = [one for one in made if not isinstance(one, str)]
    left_out = [one for one in made if isinstance(one, str)]
    if not found:
        raise BenchFailed("there is nothing to compare with", hint="; ".join(left_out) or None)
    return found, left_out


@dataclass
class _Round:
    ground: Ground
    baselines: Sequence[Baseline]
    options: BenchOptions
    cold: float | None
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    passages: dict[str, Passage] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def measure(self) -> BenchRound:
        everyone: list[Runs] = [ByBinary(), *self.baselines]
        self._warm_up(everyone)
        for number in range(self.options.repeat):
            # Who goes first changes: neither has the warmer machine.
            for one in everyone if number % 2 == 0 else reversed(everyone):
                self.ground.renew()
                sample = one.run(self.ground)
                self.samples.setdefault(one.name, []).append(sample)
                self.options.tell(
                    f"{plural(len(self.ground.platforms), 'host')}, {number + 1} of {self.options.repeat}: {one.name} "
                    f"{sample.wall:.3f} s, whole process {sample.process:.3f} s"
                )
        contestants = [self._contestant(one.name) for one in everyone]
        comparisons = [self._comparison(one.name) for one in self.baselines]
        return BenchRound(hosts=len(self.ground.platforms), contestants=contestants, comparisons=comparisons)

    def _warm_up(self, everyone: Sequence[Runs]) -> None:
        """Untimed: caches are filled, the machines looked at by the scenario's own tests, and bytes counted."""
        for one in everyone:
            self.ground.renew()
            try:
                if self.options.verify:
                    one.verified(self.ground)
                else:
                    one.run(self.ground)
            except StepFailed as failure:
                self.faults[one.name] = [f"{one.name}: the scenario's tests: {failure.reason}"]
            if self.options.count:
                self.ground.renew()
                self.passages[one.name] = one.count(self.ground)

    def _contestant(self, name: str) -> Contestant:
        samples = self.samples[name]
        ours = name == ByBinary.name
        return Contestant(
            name=name,
            wall=Spread.of([sample.wall for sample in samples]),
            process=Spread.of([sample.process for sample in samples]),
            cpu=Spread.of([sample.cpu for sample in samples]),
            passage=self.passages.get(name),
            tasks=[
                TaskCost(host=key[0], task_id=key[1], seconds=statistics.median(s.tasks.get(key, 0.0) for s in samples))
                for key in samples[0].tasks
            ],
            hosts={
                host: statistics.median(sample.hosts.get(host, 0.0) for sample in samples) for host in samples[0].hosts
            },
            compile_warm=Spread.of([sample.compiling for sample in samples]) if ours else None,
            compile_cold=self.cold if ours else None,
        )

    def _comparison(self, baseline: str) -> Comparison:
        pairs = list(zip(self.samples[ByBinary.name], self.samples[baseline], strict=True))
        cold = self.cold
        differences = [*self.faults.get(ByBinary.name, []), *self.faults.get(baseline, [])]
        differences += _differences(pairs[0][0], pairs[0][1], baseline)
        return Comparison(
            baseline=baseline,
            improvement_factor=statistics.median(theirs.wall / ours.wall for ours, theirs in pairs),
            with_warm_compile=statistics.median(theirs.wall / (ours.wall + ours.compiling) for ours, theirs in pairs),
            with_cold_compile=None
            if cold is None
            else statistics.median(theirs.wall / (ours.wall + cold) for ours, theirs in pairs),
            whole_process=statistics.median(theirs.process / ours.process for ours, theirs in pairs),
            same_work=not differences,
            differences=differences,
        )


def _differences(ours: Sample, theirs: Sample, name: str) -> list[str]:
    """Tasks that did not end the same way."""
    found = []
    for key in dict.fromkeys([*ours.outcomes, *theirs.outcomes]):
        one, other = ours.outcomes.get(key, "absent"), theirs.outcomes.get(key, "absent")
        if one != other:
            found.append(f"{key[0]}: task {key[1]}: {one} by binary, {other} by {name}")
    return found


def cold_compile(ground: Ground) -> float:
    """Seconds of `harness compile` with an empty cache: the toolchain builds the runner. Raises BenchFailed."""
    plan = ground.scenario.provisioner.plan
    compiler = ground.scenario.provisioner.compiler.name
    with tempfile.TemporaryDirectory(prefix="harness-cold-") as folder:
        output = str(Path(folder) / "out")
        command = [sys.executable, "-m", "harness", "compile", str(plan), "--compiler", compiler, "-o", output]
        started = time.monotonic()
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "HARNESS_CACHE_DIR": folder},
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchFailed("the plan could not be compiled with an empty cache", hint=done.stderr[-800:])
        return time.monotonic() - started
