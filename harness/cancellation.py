"""Work that may be called off while it is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancellation:
    """Called once: then everything registered with it is stopped, and later registrations at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self._called = False

    @property
    def called(self) -> bool:
        return self._called

    @contextmanager
    def stopping(self, action: Callable[[], None]) -> Iterator[None]:
        """`action` (quick, safe from another thread, never raising) is called when the work is called off inside."""
        with self._lock:
            called = self._called
            if not called:
                self._actions.append(action)
        if called:
            action()
        try:
            yield
        finally:
            with self._lock:
                if action in self._actions:
                    self._actions.remove(action)

    def call(self) -> None:
        with self._lock:
            self._called = True
            actions, self._actions = self._actions, []
        for action in actions:
            action()
