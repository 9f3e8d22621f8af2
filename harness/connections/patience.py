"""How long a thread waits for a way to a platform."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Patience:
    """`seconds` of this thread: those it was made with, or fewer within a command that has a timeout."""

    def __init__(self, seconds: float) -> None:
        self._usual = seconds
        self._limit = threading.local()

    @property
    def seconds(self) -> float:
        return float(getattr(self._limit, "seconds", self._usual))

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """What this thread does inside waits no longer than this for each thing that it waits for."""
        before = self.seconds
        self._limit.seconds = before if seconds is None else min(before, max(0.1, seconds))
        try:
            yield
        finally:
            self._limit.seconds = before
