"""Work on several hosts side by side: nobody's failure stops the others, and nothing hangs at the end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import CommandTimedOut, Interrupted

T = TypeVar("T")

_GRACE = 10.0
"""Seconds that work under way is given to end after it was called off, so that what it made is known."""


class Outcome(Generic[T]):
    """What became of the work on several hosts: each is in exactly one of the two."""

    def __init__(self) -> None:
        self.done: dict[str, T] = {}
        self.failed: dict[str, BaseException] = {}


def side_by_side(
    names: Sequence[str],
    work: Callable[[str], T],
    *,
    workers: int,
    deadline: Deadline,
    cancellation: Cancellation,
) -> Outcome[T]:
    """Call `work(name)` for every name, `workers` at a time, and wait for all.

    Threads are daemons, and this thread only waits: a signal is raised here at once. When that happens, or the
    deadline passes, the rest is called off. Raises CommandTimedOut for the deadline, naming who was not done.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    ended: queue.SimpleQueue[tuple[str, T | None, BaseException | None]] = queue.SimpleQueue()

    def labour() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            if cancellation.called:
                ended.put((name, None, Interrupted("called off")))
                continue
            try:
                ended.put((name, work(name), None))
            except BaseException as error:
                ended.put((name, None, error))

    threads = [
        threading.Thread(target=labour, name=f"harness-{number}", daemon=True)
        for number in range(max(1, min(workers, len(names))))
    ]
    outcome: Outcome[T] = Outcome()
    try:
        for thread in threads:
            thread.start()
        _gather(names, ended, outcome, deadline)
    except BaseException:
        cancellation.call()
        _settle(threads)
        raise
    return outcome


def _gather(
    names: Sequence[str],
    ended: queue.SimpleQueue[tuple[str, T | None, BaseException | None]],
    outcome: Outcome[T],
    deadline: Deadline,
) -> None:
    while len(outcome.done) + len(outcome.failed) < len(names):
        try:
            name, value, error = ended.get(timeout=max(0.01, deadline.remaining()))
        except queue.Empty:
            if not deadline.expired():
                continue  # it has been moved, or stands still
            left = [name for name in names if name not in outcome.done and name not in outcome.failed]
            raise CommandTimedOut(
                f"not done after {deadline}: {', '.join(left[:10])}{' ...' if len(left) > 10 else ''}",
                hint="give it more time with scenario.timeout_seconds; the log says what it was waiting for",
            ) from None
        if error is None:
            outcome.done[name] = value  # type: ignore[assignment]
        else:
            outcome.failed[name] = error


def _settle(threads: Sequence[threading.Thread]) -> None:
    grace = Deadline(_GRACE)
    for thread in threads:
        if thread.ident is not None:
            thread.join(grace.remaining())
