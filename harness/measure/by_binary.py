"""Our own side: `harness converge`, as a person would call it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing

from harness.lifecycle.journal import Journal
from harness.lifecycle.repeat import outcome_of
from harness.lifecycle.steps.converge import converge
from harness.lifecycle.workspace import Workspace
from harness.measure.clocks import Sample, reading
from harness.measure.ground import Ground, passage, verb_failed
from harness.models.bench import Passage
from harness.models.results import HostExecutionResult, TestReport
from harness.report.findings import hosts

NAME = "binary"
_SHOWN = 800


class ByBinary:
    name = NAME

    def run(self, ground: Ground) -> Sample:
        """In a process of its own. Raises BenchFailed."""
        # As Ansible has as many forks as there are hosts, and nobody looks at what it has done either.
        alike = ["--workers", str(len(ground.platforms)), "--checks", "none"]
        command = [sys.executable, "-m", "harness", "converge", *ground.arguments, *alike]
        for platform in ground.platforms:
            command += ["-p", platform]
        with reading() as read:
            done = subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, text=True, errors="replace",
                env=_environment(), timeout=ground.scenario.timeout_seconds + 600, check=False,
            )  # fmt: skip
        if done.returncode != 0:
            raise verb_failed("converge", (done.stdout + done.stderr)[-_SHOWN:])
        return self._sample(ground, read.process, read.cpu)

    def count(self, ground: Ground) -> Passage:
        """The same in this process, through proxies; not timed."""
        with ground.opened(counting=True) as context:
            converge(context)
            return passage(context)

    def verified(self, ground: Ground) -> None:
        """A run, and then the scenario's own tests over what it has done. Raises BenchFailed."""
        self.run(ground)
        ground.verify()

    def _sample(self, ground: Ground, process: float, cpu: float) -> Sample:
        workspace = Workspace.of(ground.scenario.ref.project)
        with closing(Journal.open_for_reading(workspace.database)) as journal:
            run = journal.runs(ground.scenario.name)[0].run
            timings = journal.timings(run, "converge")
        report = TestReport.model_validate_json(workspace.report(run).read_text())
        results = hosts(report)
        return Sample(
            wall=timings.get("reach", 0.0) + timings.get("run", 0.0),
            process=process,
            cpu=cpu,
            outcomes=outcomes(results),
            tasks={(one.host, task.task_id): task.execution_time for one in results for task in one.task_results},
            hosts={one.host: one.execution_time for one in results},
            compiling=timings.get("compile", 0.0),
        )


def _environment() -> dict[str, str]:
    """Ours, but bytecode is kept as an installed package's is: in a checkout each run would compile every module."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "CI": "true"}


def outcomes(results: list[HostExecutionResult]) -> dict[tuple[str, str], str]:
    """How each task ended, by host and task id."""
    return {(result.host, task.task_id): outcome_of(task) for result in results for task in result.task_results}
