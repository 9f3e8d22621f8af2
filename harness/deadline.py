"""One clock for everything that waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """A point in time, on the monotonic clock, by which something must be done."""

    def __init__(self, seconds: float, share: str = "") -> None:
        """`share` says of what these seconds are a part, for messages."""
        self.seconds = seconds
        self._share = share
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._aside = 0
        self._aside_since = 0.0
        self._aside_limit = 0.0

    def __str__(self) -> str:
        """How long it is, for messages: `120 s`, `0.5 s`, `60 s (half of what was left)`."""
        length = f"{self.seconds:.0f} s" if self.seconds >= 2 else f"{self.seconds:.2g} s"
        return f"{length} ({self._share})" if self._share else length

    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return time.monotonic() - self._started

    def remaining(self) -> float:
        """Seconds left, never negative."""
        with self._lock:
            return max(0.0, self.seconds + self._still() - self.elapsed())

    @contextmanager
    def aside(self, limit: float) -> Iterator[None]:
        """It stands still meanwhile, for `limit` seconds at most: what is done has a clock of its own. For several
        threads at once it stands still once."""
        with self._lock:
            if self._aside == 0:
                self._aside_since, self._aside_limit = time.monotonic(), 0.0
            self._aside += 1
            self._aside_limit = max(self._aside_limit, limit)
        try:
            yield
        finally:
            with self._lock:
                if self._aside == 1:
                    self.seconds += self._still()
                self._aside -= 1

    def _still(self) -> float:
        """Seconds for which it has been standing still just now."""
        return min(time.monotonic() - self._aside_since, self._aside_limit) if self._aside else 0.0

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
