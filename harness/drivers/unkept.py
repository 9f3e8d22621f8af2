"""What does not outlive its site: removed when the site is left, and by another process when this one is killed."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from harness.drivers import watcher
from harness.drivers.base import InstanceRecord
from harness.drivers.parallel import side_by_side
from harness.errors import HarnessError


class Unkept:
    """By names of the site's own choice. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watcher: subprocess.Popen[bytes] | None = None
        self._removals: dict[str, Callable[[], object]] = {}

    def add(self, name: str, remove: Callable[[], object], watched: Sequence[InstanceRecord]) -> None:
        """Before it is made. `remove`: twice must do no harm. `watched`: what goes with this process, too."""
        with self._lock:
            self._removals[name] = remove
            if watched and self._watcher is None:
                self._watcher = watcher.start()
            for record in watched:
                assert self._watcher is not None
                watcher.tell(self._watcher, record)

    def forget(self, name: str) -> None:
        """It has been removed, or is kept from now on."""
        with self._lock:
            self._removals.pop(name, None)

    def remove(self) -> None:
        """All of it, side by side. Where that fails the watcher tries once more, and labels tell what is left."""
        with self._lock:
            waiting, self._watcher = self._watcher, None
            removals, self._removals = self._removals, {}
        done = False
        try:
            with suppress(HarnessError):
                side_by_side(list(removals.values()))
                done = True
        finally:
            if waiting is not None:
                watcher.release(waiting, done=done)
