"""A command behind a server that tells its end badly, too early or too late: so its own shell tells it, by a mark."""

from __future__ import annotations

import secrets
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from harness.connections.ending import Marked, marked_text
from harness.connections.stream import StreamProcess


class Signaller(Protocol):
    """The part of a connection that reaches what runs there, by the pid of its leader."""

    def signal_group(self, leader: int, number: int) -> None: ...


class MarkedProcess(StreamProcess):
    """What runs ends both streams with a mark that no command can know, and its status."""

    def __init__(
        self,
        signaller: Signaller,
        label: str,
        description: str,
        why_gone: Callable[[], str | None],
        *,
        stdin: bool,
    ) -> None:
        super().__init__(label, description, why_gone)
        self._signaller = signaller
        self._rc: int | None = None
        self._writable = stdin
        self._mark = secrets.token_hex(16)
        self._marked = Marked(self._mark.encode()), Marked(self._mark.encode())

    def signal(self, number: int) -> None:
        if self._leader is not None and not self._look():
            self._signaller.signal_group(self._leader, number)

    def close_stdin(self) -> None:
        if self._writable:
            self._writable = False
            self._end_stdin()

    @abstractmethod
    def _end_stdin(self) -> None: ...

    @abstractmethod
    def _has_something(self) -> bool:
        """Whether the stream has something to read now, be it its end."""

    @abstractmethod
    def _read(self) -> tuple[bytes, bytes, bool]:
        """What has come on stdout and stderr, perhaps nothing, and whether nothing can follow."""

    @property
    def _stdin_open(self) -> bool:
        return self._writable

    def _has_ended(self) -> bool:
        return self._ended_at is not None

    def _marked_text(self, text: str) -> str:
        return marked_text(text, self._mark)

    def _take(self) -> None:
        out, err, last = self._read()
        self._out += self._marked[0].feed(out, last=last)
        self._err += self._marked[1].feed(err, last=last)
        self._rc = self._marked[0].status
        if last or (self._rc is not None and self._marked[1].status is not None):
            self._ended_at = time.monotonic()

    def _look(self) -> bool:
        """Whether it has ended, as far as it has been heard."""
        if self._ended_at is None and self._has_something():
            self._take()
        return self._ended_at is not None
