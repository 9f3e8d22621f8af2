"""One clock for everything that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """A point in time, on the monotonic clock, by which something must be done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._started = time.monotonic()

    def __str__(self) -> str:
        """How long it is, for messages: `120 s`, `0.5 s`."""
        return f"{self.seconds:.0f} s" if self.seconds >= 2 else f"{self.seconds:.2g} s"

    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return time.monotonic() - self._started

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.seconds - self.elapsed())

    def extend(self, seconds: float) -> None:
        """Move it: what took these seconds was not its to bound."""
        self.seconds += seconds

    def expired(self) -> bool:
        return self.remaining() == 0.0


def poll(
    attempt: Callable[[bool], T | None], deadline: Deadline, *, interval: float = 0.02, slowest: float = 0.5
) -> T | None:
    """Call `attempt(last_try)` until it returns something other than None, or the deadline passes.

    On the last call `last_try` is true, so that the callback can raise an error that explains itself.
    The pause grows from `interval` to `slowest` seconds.
    """
    pause = interval
    while True:
        last = deadline.remaining() <= pause
        result = attempt(last)
        if result is not None or last:
            return result
        time.sleep(min(pause, deadline.remaining()))
        pause = min(pause * 1.5, slowest)
