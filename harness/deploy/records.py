"""What a runner writes on stdout, read strictly: see docs/runner-contract.md."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from harness.models.results import Failed, Skipped, Success, TaskExecutionResult
from harness.models.runner import ReportRecord, StartRecord, StateRecord, TaskRecord

_SHOWN = 200
"""Characters of a line that is quoted in a message."""


@dataclass(frozen=True)
class Ending:
    """How a runner ended: `rc`, its report where there was one, and where known secrets stood in what it said."""

    rc: int
    report: ReportRecord | None
    leaks: tuple[str, ...] = ()


@dataclass
class Transcript:
    """The records of one run of a runner, as they come in. `mask` is applied to every line's values."""

    mask: Callable[[Any], Any]
    tasks: list[TaskRecord] = field(default_factory=list)
    report: ReportRecord | None = None
    running: str | None = None
    """The task that has begun and not ended."""
    faults: list[str] = field(default_factory=list)
    """What was wrong with the lines, in words."""
    leaks: list[str] = field(default_factory=list)
    """Where a known secret stood, in words: the mask hides it from everybody else."""
    on_state: Callable[[StateRecord], None] = lambda record: None
    """Told what a task leaves to later ones, unmasked."""

    def feed(self, line: bytes) -> TaskRecord | None:
        """Read one line; returns the record when a task has ended."""
        text = line.decode(errors="backslashreplace").strip()
        if not text:
            return None
        if self.report is not None:
            self._fault("a line after the report", text)
            return None
        try:
            value = json.loads(text)
            if "\\ud" in text.lower():  # half a surrogate pair is no character: no report could hold it
                json.dumps(value, ensure_ascii=False).encode()
            if isinstance(value, dict) and value.get("type") == "state":
                self._take_state(value)
                return None
            masked = self.mask(value)
            if masked != value:
                self.leaks.append(_place(value))
            return self._take(masked, text)
        except (ValueError, RecursionError) as error:
            what = "a line that is no JSON" if not isinstance(error, ValidationError) else "a record with wrong fields"
            self._fault(what, text)
            return None

    def _take_state(self, value: Any) -> None:
        """It is whole, so nothing of it is quoted."""
        try:
            self.on_state(StateRecord.model_validate(value))
        except ValidationError:
            self.faults.append("a state with wrong fields")

    def _take(self, value: Any, text: str) -> TaskRecord | None:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "start":
            self.running = StartRecord.model_validate(value).task_id
        elif kind == "task":
            record = TaskRecord.model_validate(value)
            self.tasks.append(record)
            self.running = None
            return record
        elif kind == "report":
            self.report = ReportRecord.model_validate(value)
        else:
            self._fault("a record of an unknown type", text)
        return None

    def _fault(self, what: str, text: str) -> None:
        shown = str(self.mask(text))
        self.faults.append(f"{what}: {shown[:_SHOWN]}{'...' if len(shown) > _SHOWN else ''}")

    def verdict(self, rc: int, stderr: str) -> str | None:
        """Why the host as a whole failed; None when the runner did what its contract says."""
        said = "" if _repeats(rc, stderr) else last_words(stderr)
        if rc == 2 and self.report is None and not self.tasks:
            return f"the runner could not start{said}"
        if self.report is None:
            where = f" in task {self.running!r}" if self.running else ""
            return f"the runner ended{where} without a report ({ended(rc)}){said}" + self._told_faults()
        if self.faults:
            return f"the runner wrote what its contract does not know{self._told_faults()}{said}"
        return self._disagreement(rc)

    def _disagreement(self, rc: int) -> str | None:
        assert self.report is not None
        failed = sum(1 for record in self.tasks if record.status == "failed" and not record.ignored)
        counted = {
            "ok": sum(1 for record in self.tasks if record.status == "ok"),
            "changed": sum(1 for record in self.tasks if record.status == "changed"),
            "skipped": sum(1 for record in self.tasks if record.status == "skipped"),
            "failed": failed,
        }
        for name, number in counted.items():
            told = getattr(self.report, name)
            if told != number:
                return f"the runner's report says {told} tasks {name}, but it wrote {number} such records"
        expected = 1 if failed else 0
        if rc != expected or self.report.exit_code != rc:
            return (
                f"the runner's exit status {rc} disagrees with its report"
                f" (exit_code {self.report.exit_code}, {failed} failed)"
            )
        return None

    def _told_faults(self) -> str:
        return "".join(f"\n{fault}" for fault in self.faults[:5])

    @property
    def complete(self) -> bool:
        """Whether the runner has come to its end."""
        return self.report is not None

    def results(self) -> list[TaskExecutionResult]:
        return [task_result(record) for record in self.tasks]


def task_result(record: TaskRecord) -> TaskExecutionResult:
    """The runner's record as specification 110 has it: ok and changed are both `Success`."""
    status: Success | Failed | Skipped
    if record.status == "failed":
        status = Failed(error=record.msg or record.stderr.strip() or _unsaid(record))
    elif record.status == "skipped":
        status = Skipped(reason=record.skip_reason or record.msg)
    else:
        status = Success()
    return TaskExecutionResult(
        task_id=record.task_id,
        status=status,
        output=record.stdout or (record.msg if record.status != "failed" else ""),
        execution_time=record.duration,
        artifacts_created=record.artifacts,
        changed=record.status == "changed",
        rc=record.rc,
        name=record.name,
        module=record.module,
        stderr=record.stderr,
        ignored=record.ignored,
        handler=record.handler,
    )


def _unsaid(record: TaskRecord) -> str:
    """Why a task failed of which its module has nothing to say."""
    if record.result.get("failed_when_result") is True:
        return "failed_when holds"
    return f"rc {record.rc}" if record.rc is not None else "failed without a word"


def _place(value: Any) -> str:
    """Which record this is, in words."""
    kind = value.get("type") if isinstance(value, dict) else None
    return f"the record of task {value.get('task_id')!r}" if kind == "task" else f"a record of type {kind!r}"


def ended(rc: int) -> str:
    return f"killed by signal {rc - 128}" if rc > 128 else f"exit status {rc}"


def _repeats(rc: int, said: str) -> bool:
    """Whether it is but the shell's own word for the signal: `Killed`, `Segmentation fault (core dumped)`."""
    if not 128 < rc < 128 + signal.NSIG:
        return False
    return said.strip().removesuffix("(core dumped)").strip() == signal.strsignal(rc - 128)


def last_words(said: str) -> str:
    """On lines of their own, for the end of a message."""
    return f"\n{said.strip()[-2000:]}" if said.strip() else ""
