"""Ctrl-C, SIGTERM and SIGHUP: the first cleans up, a second stops at once, and neither tears a state file.

The habit of masking signals while state is written is tmt's (`tmt/utils/signals.py`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from harness.errors import Interrupted
from harness.exits import Exit

_SAME = 0.3
"""Seconds. `timeout` and terminals signal a process and then its whole group: that is one request, not two."""


class Signals:
    """While it is open, a signal raises `Interrupted` in the main thread; outside the main thread it does nothing.

    `last_words` is written to stderr when a second signal stops the process at once.
    """

    def __init__(self, last_words: Callable[[], str]) -> None:
        self._last_words = last_words
        self._before: dict[int, Any] = {}
        self._deferring = 0
        self._pending: str | None = None
        self._first: float | None = None

    @property
    def interrupted(self) -> bool:
        return self._first is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A signal that comes inside is raised at the end; for short writes of state."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are raised in the main thread alone
            return
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1
            if not self._deferring and self._pending is not None:
                name, self._pending = self._pending, None
                raise Interrupted(f"interrupted by {name}")

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _numbers():
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        name = signal.Signals(number).name
        if self._first is None:
            self._first = now
            if self._deferring:
                self._pending = name
                return
            raise Interrupted(f"interrupted by {name}")
        if now - self._first > _SAME:
            self._stop(name)

    def _stop(self, name: str) -> None:
        try:
            os.write(2, f"\nharness: stopped by a second {name}. {self._last_words()}\n".encode())
        finally:
            os._exit(Exit.INTERRUPTED)


def _numbers() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32":
        # nohup sets SIGHUP to be ignored, and means it.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
    else:
        numbers.append(signal.SIGBREAK)
    return numbers
