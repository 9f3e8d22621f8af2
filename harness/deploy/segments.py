"""A host's tasks in stretches of one method each: by binary what the compiler honours, over SSH the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from harness.models.runner import Payload, PayloadPlay, PayloadTask
from harness.plan.files import module_name

Carrier = Literal["binary", "ssh"]

_WHOLE_PLAY = frozenset(
    ["add_host", "group_by", "import_role", "import_tasks", "include_role", "include_tasks", "include_vars", "meta"]
)
"""What these modules do reaches beyond their own task, so that their play cannot be split."""


@dataclass(frozen=True)
class Segment:
    """Tasks of one play, or handlers of it, in the order in which they run. With both, the play is whole: whoever
    carries it runs the handlers that were notified; of handlers alone, those run that any segment has notified."""

    method: Carrier
    play: int
    tasks: tuple[str, ...] = ()
    handlers: tuple[str, ...] = ()


def segments_of(payload: Payload) -> tuple[Segment, ...]:
    """Every task and handler of the payload, each once, in the payload's order."""
    return tuple(segment for index, play in enumerate(payload.plays) for segment in _of_play(play, index))


def unhonoured(payload: Payload) -> dict[str, str]:
    """What the compiler lacks for the payload, in words, by the id of the task or handler."""
    found: dict[str, str] = {}
    for play in payload.plays:
        for task in (*play.tasks, *play.handlers):
            words = [*task.lacking, *play.lacking]
            if words:
                found[task.task_id] = "; ".join(words)
    return found


def _of_play(play: PayloadPlay, index: int) -> Iterator[Segment]:
    ids = tuple(task.task_id for task in play.tasks)
    handlers = tuple(handler.task_id for handler in play.handlers)
    if _is_whole(play):
        yield Segment("ssh", index, ids, handlers)
        return
    for method, tasks in groupby(play.tasks, key=_carrier):
        yield Segment(method, index, tasks=tuple(task.task_id for task in tasks))
    for method, group in groupby(play.handlers, key=_carrier):
        yield Segment(method, index, handlers=tuple(handler.task_id for handler in group))


def _is_whole(play: PayloadPlay) -> bool:
    everything = (*play.tasks, *play.handlers)
    if play.lacking or all(task.lacking for task in everything):
        return True
    return any(module_name(task.module) in _WHOLE_PLAY for task in everything)


def _carrier(task: PayloadTask) -> Carrier:
    return "ssh" if task.lacking else "binary"
