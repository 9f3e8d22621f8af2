"""What a runner that is not ours tells: by one HTTP report, or by its exit status alone. See docs/compilers.md."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from harness.cancellation import Cancellation
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy.collector import Collector
from harness.deploy.records import ended, last_words, task_result
from harness.errors import DeployFailed, HarnessError, PortTaken
from harness.models.posted import PostedReport, PostedTask
from harness.models.results import TaskExecutionResult
from harness.models.runner import Payload, PayloadTask, TaskRecord

_PAUSE = 0.5
_NAMED = 5
_KEPT, _LONGEST = 100, 2000
"""Lines of its output, and characters of one."""


@dataclass
class Overheard(ABC):
    """What a foreign runner writes is for people: its last lines are told where it fails."""

    payload: Payload
    mask: Callable[[Any], Any]
    on_line: Callable[[str], None]
    on_record: Callable[[TaskRecord], None]
    tasks: list[TaskRecord] = field(default_factory=list)
    running: str | None = ""
    """Which task it is at nobody knows; None once it is known to have done what it says."""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether the runner has told what it did."""

    @abstractmethod
    def verdict(self, rc: int, stderr: str) -> str | None:
        """Why the host as a whole failed; None when the runner did, as far as it tells, what it was to do."""

    def feed(self, line: bytes) -> None:
        text = str(self.mask(line.decode(errors="backslashreplace").rstrip()))[:_LONGEST]
        self.said.append(text)
        self.on_line(text)

    def tell(self, record: TaskRecord) -> None:
        self.tasks.append(record)
        self.on_record(record)

    def results(self) -> list[TaskExecutionResult]:
        return [task_result(record) for record in self.tasks]

    def words(self, stderr: str) -> str:
        return last_words(stderr if stderr.strip() else "\n".join(self.said))

    def planned(self) -> dict[str, PayloadTask]:
        return {task.task_id: task for play in self.payload.plays for task in (*play.tasks, *play.handlers)}


@dataclass
class ByExitStatus(Overheard):
    @property
    def complete(self) -> bool:
        return bool(self.tasks)

    def verdict(self, rc: int, stderr: str) -> str | None:
        """A status of 0 says that every task succeeded that was sure to run."""
        if rc != 0:
            return f"the runner ended: {ended(rc)}{self.words(stderr)}"
        self.running = None
        for play in self.payload.plays:
            for task in play.tasks:
                if not task.when and not task.ignore_errors and task.failed_when is None:
                    self.tell(_record(task, "changed", "told by the runner's exit status alone"))
        return None


@dataclass
class ByReport(Overheard):
    collector: Collector = field(kw_only=True)
    url: str = field(kw_only=True)

    @property
    def complete(self) -> bool:
        return self.collector.report is not None

    def verdict(self, rc: int, stderr: str) -> str | None:
        """Report, tasks and exit status must agree."""
        self.collector.settle()
        report, said = self.collector.report, self.words(stderr)
        posted = [] if report is None else [task for play in report.results for task in play.task_results]
        planned = self.planned()
        for task in posted:
            self.tell(_posted(task, planned.get(task.task_id), self.mask))
        faults = "".join(f"\nit posted {self.mask(fault)}" for fault in self.collector.faults)
        if report is None:
            strays = "".join(f"\nsomebody asked for {self.mask(one)}" for one in self.collector.strays)
            return f"the runner brought no report to {self.url} ({ended(rc)}){faults}{strays}{said}"
        if faults:
            return f"the runner's report cannot be relied on{faults}{said}"
        disagreement = self._disagreement(report, posted, planned, rc)
        if disagreement is not None:
            return disagreement + said
        self.running = None
        return None

    def _disagreement(
        self, report: PostedReport, posted: list[PostedTask], planned: Mapping[str, PayloadTask], rc: int
    ) -> str | None:
        names = Counter(task.task_id for task in posted)
        failed = [task.task_id for task in posted if task.module_result.failed]
        for name, count in names.items():
            if name not in planned:
                return f"the runner's report tells of a task {name!r} that its plan has not"
            if count > 1:
                return f"the runner's report tells of the task {name!r} {count} times"
        if report.success == bool(failed):
            told = ", ".join(failed) if failed else "none"
            return f"the runner's report says success: {str(report.success).lower()}, but of its tasks failed: {told}"
        if (rc == 0) != report.success:
            return f"the runner's exit status {rc} disagrees with its report (success: {str(report.success).lower()})"
        due = [task.task_id for play in self.payload.plays for task in play.tasks if not task.when]
        missing = [name for name in due if name not in names]
        if missing and not failed:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            return f"the runner's report has no result of {', '.join(missing[:_NAMED])}{more}, and says success"
        return None


@contextmanager
def overheard(
    payload: Payload,
    connection: Connection,
    url: str | None,
    *,
    mask: Callable[[Any], Any],
    on_line: Callable[[str], None],
    on_record: Callable[[TaskRecord], None],
    on_event: Callable[[str], None],
    deadline: Deadline,
    cancellation: Cancellation,
) -> Iterator[Overheard]:
    """What hears the runner of this payload, which reports to `url` or nowhere. Raises DeployFailed."""
    if url is None:
        yield ByExitStatus(payload, mask, on_line, on_record)
        return
    address = urlsplit(url)
    assert address.port is not None
    with ExitStack() as stack:
        told = False
        while True:
            try:
                listening = stack.enter_context(connection.listen(address.port))
                break
            except HarnessError as error:
                # Two platforms, or two runs, may share a loopback: whoever has the port is waited for.
                if not isinstance(error, PortTaken) or deadline.remaining() < 2 * _PAUSE or cancellation.called:
                    words = f"the runner's report cannot be heard: {error.message}"
                    raise DeployFailed(words, hint=error.hint) from error
            if not told:
                on_event(f"waiting for port {address.port}, on which somebody else listens")
                told = True
            time.sleep(_PAUSE)
        collector = stack.enter_context(Collector(listening, address.path))
        yield ByReport(payload, mask, on_line, on_record, collector=collector, url=url)


def _posted(task: PostedTask, planned: PayloadTask | None, mask: Callable[[Any], Any]) -> TaskRecord:
    found = task.module_result
    return TaskRecord.model_validate(
        mask(
            {
                "task_id": task.task_id,
                "name": planned.name if planned is not None else "",
                "module": planned.module if planned is not None else "",
                "status": "failed" if found.failed else "changed" if found.changed else "ok",
                "msg": found.msg or "",
                "stdout": found.stdout or "",
                "stderr": found.stderr or "",
                "rc": found.rc,
                "start": _time(task),
                "duration": task.duration,
                "result": found.results,
            }
        )
    )


def _time(task: PostedTask) -> str:
    if task.start_time is None:
        return ""
    try:
        seconds = task.start_time.secs_since_epoch + task.start_time.nanos_since_epoch / 1e9
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _record(task: PayloadTask, status: str, words: str) -> TaskRecord:
    return TaskRecord.model_validate(
        {
            "task_id": task.task_id,
            "name": task.name,
            "module": task.module,
            "status": status,
            "msg": words,
            "start": "",
            "duration": 0.0,
        }
    )
