"""What is left to do on a host whose binary ended half-way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.deploy.ansible_playbook import Excerpt
from harness.deploy.records import Transcript
from harness.deploy.state import HostState
from harness.models.runner import Payload, TaskRecord
from harness.plan.files import module_name

_NOT_TWICE = frozenset({"command", "expect", "raw", "script", "shell"})
"""Nobody knows what these have done by the time they are cut off; the others find out and do the rest."""


@dataclass
class Progress:
    """What a runner has told so far."""

    records: list[TaskRecord] = field(default_factory=list)
    state: HostState = field(default_factory=HostState)
    interrupted: str | None = None
    """The task or handler that had begun and not ended."""

    @property
    def finished(self) -> list[str]:
        return [record.task_id for record in self.records]

    @property
    def began(self) -> bool:
        return bool(self.records) or self.interrupted is not None

    @property
    def failed(self) -> bool:
        """A task has failed, and nothing further is to be run whoever runs it."""
        return any(record.status == "failed" and not record.ignored for record in self.records)


def progress_of(lines: Iterable[bytes], mask: Callable[[Any], Any]) -> Progress:
    """What these lines of a runner tell."""
    progress = Progress()
    transcript = Transcript(mask=mask, on_state=progress.state.take)
    for line in lines:
        transcript.feed(line)
    progress.records += transcript.tasks
    progress.interrupted = transcript.running
    return progress


def unsure(payload: Payload, progress: Progress) -> str | None:
    """The task that was cut off and that must not be run again, as nobody knows whether it was done."""
    for play in payload.plays:
        for task in (*play.tasks, *play.handlers):
            if task.task_id == progress.interrupted and not task.rerun and module_name(task.module) in _NOT_TWICE:
                return task.task_id
    return None


def remaining(payload: Payload, progress: Progress) -> list[Excerpt]:
    """The tasks without a finished record, and the handlers that were notified and have not run."""
    finished = {record.task_id for record in progress.records if not record.handler}
    handled = {record.task_id for record in progress.records if record.handler}
    left = []
    for index, play in enumerate(payload.plays):
        tasks = frozenset(task.task_id for task in play.tasks) - finished
        waiting = (handler.task_id for handler in play.handlers if handler.task_id in progress.state.notified)
        notified = tuple(handler for handler in waiting if handler not in handled)
        if tasks or notified:
            left.append(Excerpt(index, tasks, frozenset(handler.task_id for handler in play.handlers), notified))
    return left
