"""What has passed over a connection."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Passed:
    """Bytes of commands, files and what they said, without what a transport adds to them. `round_trips`: turns from
    asking to being answered; on several channels at one time they run into one another, as on the wire."""

    sent: int = 0
    received: int = 0
    round_trips: int = 0

    def since(self, earlier: Passed) -> Passed:
        return Passed(
            self.sent - earlier.sent,
            self.received - earlier.received,
            self.round_trips - earlier.round_trips,
        )


class Traffic:
    """Counts. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = self._received = self._round_trips = 0
        self._asking = False

    def sent(self, size: int) -> None:
        with self._lock:
            self._sent += size
            self._asking = True

    def received(self, size: int) -> None:
        if size > 0:
            with self._lock:
                self._received += size
                self._round_trips += self._asking
                self._asking = False

    def so_far(self) -> Passed:
        with self._lock:
            return Passed(self._sent, self._received, self._round_trips)
