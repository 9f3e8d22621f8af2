"""A sign of life while something takes long and says nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Heartbeat:
    """Calls `beat` each `interval` seconds until `stop`. A thread that keeps no process alive."""

    def __init__(self, interval: float, beat: Callable[[], None]) -> None:
        self._interval = interval
        self._beat = beat
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Does not wait: a beat that is under way looks at `stopped` itself."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._beat()
