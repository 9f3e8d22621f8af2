"""A command on a channel of its own, whatever the channel is: what is said first, reading, writing, waiting."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator

from harness.connections.base import Completed, Process
from harness.connections.traffic import Traffic
from harness.errors import CommandTimedOut, TransportFailed

CHUNK = 1 << 18
READY = b"harness-ready\n"
ANNOUNCE = "printf '%s\\n' \"$$\"; "
"""What the command's own shell says before the command takes its place: the pid to which signals go."""
START_LIMIT = 60.0
"""Seconds for the platform to start a shell."""


class StreamProcess(Process):
    """What runs says READY and a pid on stdout and then becomes the command.

    All reading and writing is done by the caller's own thread: none of ours, so none to leak. `label` begins every
    message; `why_gone` tells why the platform cannot be reached any more, or None.
    """

    def __init__(self, label: str, description: str, why_gone: Callable[[], str | None]) -> None:
        self._label = label
        self._description = description
        self._why_gone = why_gone
        self._started = time.monotonic()
        self._out, self._err = bytearray(), bytearray()
        self._traffic = Traffic()
        self._ended_at: float | None = None
        self._closed = False
        self._leader: int | None = None

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    @abstractmethod
    def _stdin_open(self) -> bool: ...

    @abstractmethod
    def _write_some(self, data: memoryview) -> int:
        """How much of it was taken. Raises BlockingIOError when nothing fits now, OSError when stdin has gone."""

    @abstractmethod
    def _pump(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        """Wait until something can be read (or written, or read from `also`), and read it. False once it has ended."""

    @abstractmethod
    def _has_ended(self) -> bool: ...

    @abstractmethod
    def _status(self) -> int: ...

    def counted_in(self, traffic: Traffic) -> None:
        """What has passed, and what will."""
        passed, self._traffic = self._traffic.so_far(), traffic
        traffic.received(passed.received)

    def lines(self) -> Iterator[bytes]:
        while True:
            while (at := self._out.find(b"\n")) >= 0:
                line = bytes(self._out[: at + 1])
                del self._out[: at + 1]
                yield line
            if not self._turn(None) and b"\n" not in self._out:
                break
        if self._out:
            line = bytes(self._out)
            self._out.clear()
            yield line

    def pieces(self) -> Iterator[tuple[bytes, bytes]]:
        more = True
        while more or self._out or self._err:  # some may have come with the greeting
            out, err = bytes(self._out), bytes(self._err)
            del self._out[: len(out)], self._err[: len(err)]  # no more than that: another thread may write, and so read
            if out or err:
                yield out, err
            else:
                more = self._turn(None)

    def chunks(self) -> Iterator[bytes]:
        """stdout as it comes, in pieces of any size: for streams of files."""
        more = True
        while more:
            more = self._turn(None)
            if self._out:
                piece = bytes(self._out)
                self._out.clear()
                yield piece

    def chunk(self, until: float | None = None, *, also: int | None = None) -> bytes | None:
        """What has come on stdout; nothing when `until` passed or `also` can be read first. None once it has ended."""
        more = self._turn(until, also=also)
        piece = bytes(self._out)
        self._out.clear()
        return piece if more or piece else None

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            if not self._stdin_open:
                raise TransportFailed(f"{self._label}: the stdin of {self._description} is closed")
            try:
                left = left[self._written(left[:CHUNK]) :]
            except BlockingIOError:
                self._turn(None, write=True)
            except OSError as error:  # EPIPE, and EIO of a PTY
                raise TransportFailed(f"{self._label}: {self._description} reads no more of its stdin") from error

    def wait(self, timeout: float | None = None) -> Completed:
        until = None if timeout is None else time.monotonic() + timeout
        while self._turn(until):
            if until is not None and time.monotonic() >= until and not self._has_ended():
                raise CommandTimedOut(
                    f"{self._label}: {self._description} did not end within {timeout:g} s",
                    stdout=bytes(self._out),
                    stderr=bytes(self._err),
                )
        out = bytes(self._out)
        self._out.clear()
        ended = self._ended_at or time.monotonic()
        return Completed(self._status(), out, bytes(self._err), ended - self._started)

    def communicate(self, stdin: bytes, timeout: float | None) -> Completed:
        """Write all of stdin, unless the command does not want it, and wait."""
        until = None if timeout is None else time.monotonic() + timeout
        left = memoryview(stdin)
        while left and self._stdin_open and not (until is not None and time.monotonic() >= until):
            try:
                left = left[self._written(left[:CHUNK]) :]
            except BlockingIOError:
                self._turn(until, write=True)
            except OSError:
                break
        if not left or self._ended_at is not None or until is None:
            self.close_stdin()
        return self.wait(None if until is None else max(0.0, until - time.monotonic()))

    def interact(self) -> int:
        raise TransportFailed(f"{self._label}: {self._description} was started without a terminal")

    def _turn(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        """`_pump`, counted."""
        held = len(self._out) + len(self._err)
        more = self._pump(until, write=write, also=also)
        self._traffic.received(len(self._out) + len(self._err) - held)
        return more

    def _written(self, data: memoryview) -> int:
        """`_write_some`, counted."""
        size = self._write_some(data)
        self._traffic.sent(size)
        return size

    def _handshake(self) -> int | None:
        """The command's pid on the platform; None when it was never started (its cwd or user is missing)."""
        until = time.monotonic() + START_LIMIT
        if self._greeting(until) != READY.strip():
            words = self._err.decode(errors="replace").strip()[-2000:] or self._out.decode(errors="replace").strip()
            gone = self._why_gone()
            what = f"{self._description} could not be started: {words or f'no shell within {START_LIMIT:g} s'}"
            raise TransportFailed(f"{self._label}: {gone or what}")
        pid = self._greeting(until)
        return int(pid) if pid and pid.isdigit() else None

    def _greeting(self, until: float) -> bytes | None:
        while b"\n" not in self._out:
            if not self._turn(until) and b"\n" not in self._out:
                return None
            if time.monotonic() >= until:
                return None
        line, _, rest = bytes(self._out).partition(b"\n")
        self._out[:] = rest
        return line.strip(b"\r")
