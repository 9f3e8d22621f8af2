"""The log of each step under `.harness/runs/RUN/`, and one observer for several."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from harness.lifecycle.events import Observer
from harness.models.results import StepResult, TestReport
from harness.models.runner import TaskRecord
from harness.models.verification import VerifyOutcome


class RunLog:
    """Writes every event of a step to `NN-STEP.log`. A full disk ends the log, never the run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._number = 0
        self._file: TextIO | None = None
        self.path: Path | None = None

    def run_started(self, scenario: str, run: str, sequence: tuple[str, ...]) -> None: ...

    def step_started(self, scenario: str, step: str) -> None:
        with self._lock, suppress(OSError):
            self._close()
            self._number += 1
            self.path = self._folder / f"{self._number:02d}-{step}.log"
            self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")

    def step_ended(self, scenario: str, result: StepResult) -> None:
        self._write(f"{result.step} {result.outcome} after {result.duration:.3f} s")
        if result.reason:
            self._write(result.reason)
        with self._lock, suppress(OSError):
            self._close()

    def host_event(self, scenario: str, step: str, host: str, message: str) -> None:
        self._write(f"{host}: {message}")

    def task_ended(self, scenario: str, host: str, record: TaskRecord) -> None:
        name = f" ({record.name})" if record.name else ""
        status = "ignored" if record.status == "failed" and record.ignored else record.status
        lines = [f"{host}: {status} {record.task_id}{name} [{record.module}] {record.duration:.3f} s"]
        for label, text in (
            ("msg", record.msg or record.skip_reason or ""),
            ("stdout", record.stdout),
            ("stderr", record.stderr),
        ):
            if text.strip():
                lines += [f"    {label}: {line}" for line in text.rstrip().splitlines()]
        self._write("\n".join(lines))

    def verified(self, scenario: str, outcome: VerifyOutcome) -> None: ...

    def warning(self, scenario: str, message: str) -> None:
        self._write(f"warning: {message}")

    def run_ended(self, scenario: str, report: TestReport) -> None:
        with self._lock, suppress(OSError):
            self._close()

    def text(self, text: str) -> None:
        """Into the log of the step that runs, and nowhere else."""
        self._write(text)

    def _write(self, text: str) -> None:
        with self._lock, suppress(OSError):
            if self._file is not None:
                self._file.write(f"{datetime.now():%H:%M:%S.%f} {text}\n")
                self._file.flush()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Observers:
    """Tells each of several."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._all = tuple(observers)

    def run_started(self, scenario: str, run: str, sequence: tuple[str, ...]) -> None:
        for one in self._all:
            one.run_started(scenario, run, sequence)

    def step_started(self, scenario: str, step: str) -> None:
        for one in self._all:
            one.step_started(scenario, step)

    def step_ended(self, scenario: str, result: StepResult) -> None:
        for one in self._all:
            one.step_ended(scenario, result)

    def host_event(self, scenario: str, step: str, host: str, message: str) -> None:
        for one in self._all:
            one.host_event(scenario, step, host, message)

    def task_ended(self, scenario: str, host: str, record: TaskRecord) -> None:
        for one in self._all:
            one.task_ended(scenario, host, record)

    def verified(self, scenario: str, outcome: VerifyOutcome) -> None:
        for one in self._all:
            one.verified(scenario, outcome)

    def warning(self, scenario: str, message: str) -> None:
        for one in self._all:
            one.warning(scenario, message)

    def run_ended(self, scenario: str, report: TestReport) -> None:
        for one in self._all:
            one.run_ended(scenario, report)
