"""Baselines: the same plan as a playbook, run by Ansible as a careful user would run it."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue

from harness.ansible.job import PlaybookJob, PlaybookRun
from harness.ansible.run import run_playbook
from harness.deploy.ansible_playbook import whole, write_playbook
from harness.deploy.ansible_run import Listener, job_of
from harness.deploy.decide import Decision
from harness.deploy.force_ssh import by_slice
from harness.deploy.means import HostWork, Means
from harness.deploy.records import task_result
from harness.lifecycle.context import Context
from harness.lifecycle.deployment import means_of
from harness.lifecycle.plans import payloads_of, run_arguments
from harness.lifecycle.steps.converge import checked_plan
from harness.lifecycle.steps.verify import verify
from harness.measure.by_binary import outcomes
from harness.measure.clocks import Sample, reading
from harness.measure.ground import BenchFailed, Ground, passage
from harness.models.bench import Passage
from harness.models.endpoint import Ssh
from harness.models.results import HostExecutionResult

Config = Mapping[str, Mapping[str, JsonValue]]

_PIPELINED: Config = {"connection": {"pipelining": True}, "ssh_connection": {"pipelining": True}}


@dataclass(frozen=True)
class ByAnsible:
    """`config` beside Ansible's defaults, of which ControlPersist is one; forks are always as many as hosts."""

    name: str
    config: Config = field(default_factory=dict)

    def check(self, ground: Ground) -> None:
        """Any plan is a playbook."""

    def run(self, ground: Ground) -> Sample:
        """Raises BenchFailed."""
        with ground.opened() as context:
            return _Attempt(context, self.config).sample()

    def count(self, ground: Ground) -> Passage:
        """The same through proxies; not timed."""
        with ground.opened(counting=True) as context:
            _Attempt(context, self.config).sample()
            return passage(context)

    def verified(self, ground: Ground) -> None:
        """A run, and then the scenario's own tests over what it has done. Raises BenchFailed, StepFailed."""
        with ground.opened() as context:
            attempt = _Attempt(context, self.config)
            attempt.sample()
            context.ledger.host_results = {result.host: result for result in attempt.results}
            verify(context)


def baseline_seconds(context: Context) -> float:
    """From playbook_on_start to playbook_on_stats, pipelined, over a run's fresh platforms. Raises BenchFailed."""
    return _Attempt(context, _PIPELINED).sample().wall


class _Attempt:
    """One run over one context's platforms."""

    def __init__(self, context: Context, config: Config) -> None:
        self._context = context
        self._config = config
        self.results: list[HostExecutionResult] = []

    def sample(self) -> Sample:
        works = self._works()
        means = means_of(self._context, "converge", run_arguments(checked_plan(self._context)))
        slices = list(by_slice(works).values())
        with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
            jobs = [self._job(Path(name) / str(number), part, means) for number, part in enumerate(slices)]
            with reading() as read, ThreadPoolExecutor(max(1, len(jobs))) as pool:
                runs = list(pool.map(lambda job: self._play(job[0], job[1], means), jobs))
        for (_, listener), run in zip(jobs, runs, strict=True):
            self._take(listener, run)
        started = min(run.started for run in runs)
        return Sample(
            wall=max(run.ended for run in runs) - started,
            process=max(run.duration for run in runs),
            cpu=read.cpu,
            outcomes=outcomes(self.results),
            tasks={(one.host, task.task_id): task.execution_time for one in self.results for task in one.task_results},
            hosts={one.host: one.execution_time for one in self.results},
        )

    def _works(self) -> list[HostWork]:
        context = self._context
        connections = context.connections("converge")
        works = []
        for payload in payloads_of(context.scenario, checked_plan(context), context.hosts, list(context.secrets)):
            for host in payload.run_on:
                endpoint = context.fleet.members[host].endpoint
                if not isinstance(endpoint, Ssh):
                    raise BenchFailed(
                        f"{host} has no sshd that Ansible could come in by",
                        hint="set `connection: ssh` on the platform",
                    )
                decision = Decision(host, "ssh", ("it is the baseline",))
                works.append(HostWork(host, payload, decision, connections[host], endpoint))
        return works

    def _job(self, folder: Path, works: Sequence[HostWork], means: Means) -> tuple[PlaybookJob, Listener]:
        folder.mkdir(mode=0o700)
        payload, hosts = works[0].payload, [work.host for work in works]
        playbook = write_playbook(folder, payload, hosts, whole(payload), environment=means.env)
        job = job_of(works, means, playbook)
        sections = {*job.config, *self._config}
        config = {name: {**job.config.get(name, {}), **self._config.get(name, {})} for name in sections}
        return replace(job, config=config), Listener(works, playbook, means, None)

    def _play(self, job: PlaybookJob, listener: Listener, means: Means) -> PlaybookRun:
        return run_playbook(
            job, deadline=means.deadline, cancellation=means.cancellation, on_event=listener.take, on_line=means.on_line
        )

    def _take(self, listener: Listener, run: PlaybookRun) -> None:
        if run.error is not None:
            raise BenchFailed(f"Ansible did not come to its end: {run.error}")
        for host, done in listener.runs.items():
            if done.error is not None:
                raise BenchFailed(f"{host}: {done.error}")
            self.results.append(
                HostExecutionResult(
                    host=host,
                    task_results=[task_result(record) for record in done.records],
                    deployment_method="ssh",
                    execution_time=done.seconds,
                )
            )


def ansible_default() -> ByAnsible:
    return ByAnsible("ansible")


def ansible_pipelined() -> ByAnsible:
    return ByAnsible("ansible-pipelined", _PIPELINED)


def mitogen() -> ByAnsible | str:
    """Or why not."""
    found = importlib.util.find_spec("ansible_mitogen")
    if found is None or found.origin is None:
        return "mitogen is not installed (pip install mitogen)"
    plugins = Path(found.origin).parent / "plugins" / "strategy"
    defaults: dict[str, JsonValue] = {"strategy_plugins": str(plugins), "strategy": "mitogen_linear"}
    return ByAnsible("mitogen", {**_PIPELINED, "defaults": defaults})
