# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A command on a channel of its own: a child process of ours that is, or stands for, a process on the platform."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

assert sys.platform != "win32"

from harness.connections.base import Completed, Process
from harness.connections.processes import host_pid, kill_below, kill_session
from harness.errors import CommandTimedOut, TransportFailed

CHUNK = 1 << 18
PIPE_SIZE = 1 << 16
"""Bytes that a pipe holds unless somebody asked for more, pipe(7)."""
READY = b"harness-ready\n"
ANNOUNCE = "printf '%s\\n' \"$$\"; "
"""What the command's own shell says before the command takes its place: the pid to which signals go."""
START_LIMIT = 60.0
"""Seconds for the platform to start a shell."""


@dataclass(frozen=True, slots=True)
class Launch:
    """`argv` runs on this host, says READY and a pid on stdout and then becomes the command.

    `label` begins every message; `why_gone` tells why the platform cannot be reached any more, or None.
    """

    argv: Sequence[str]
    label: str
    description: str
    why_gone: Callable[[], str | None]
    cwd: str | None = None
    env: Mapping[str, str] | None = None


class ChildProcess(Process):
    """Without a PTY. All reading and writing is done by the caller's own thread: none of ours, so none to leak."""

    def __init__(self, launch: Launch, *, stdin: bool) -> None:
        self._launch = launch
        self._started = time.monotonic()
        self._out, self._err = bytearray(), bytearray()
        self._ended_at: float | None = None
        self._closed = False
        self._popen = self._spawn(stdin=stdin)
        self._stdin = self._popen.stdin.fileno() if self._popen.stdin else None
        self._readers = self._streams()
        for descriptor in (*self._readers, *([] if self._stdin is None else [self._stdin])):
            os.set_blocking(descriptor, False)
        self._pidfd: int | None = None
        if sys.platform == "linux":
            self._pidfd = os.pidfd_open(self._popen.pid)
        try:
            self._leader = self._handshake()
        except BaseException:
            self.kill()
            raise

    def lines(self) -> Iterator[bytes]:
        while True:
            while (at := self._out.find(b"\n")) >= 0:
                line = bytes(self._out[: at + 1])
                del self._out[: at + 1]
                yield line
            if not self._pump(None) and b"\n" not in self._out:
                break
        if self._out:
            line = bytes(self._out)
            self._out.clear()
            yield line

    def chunks(self) -> Iterator[bytes]:
        """stdout as it comes, in pieces of any size: for streams of files."""
        more = True
        while more:
            more = self._pump(None)
            if self._out:
                piece = bytes(self._out)
                self._out.clear()
                yield piece

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            if self._stdin is None:
                raise TransportFailed(f"{self._launch.label}: the stdin of {self._launch.description} is closed")
            try:
                left = left[os.write(self._stdin, left[:CHUNK]) :]
            except BlockingIOError:
                self._pump(None, write=True)
            except OSError as error:  # EPIPE, and EIO of a PTY
                raise TransportFailed(
                    f"{self._launch.label}: {self._launch.description} reads no more of its stdin"
                ) from error

    def close_stdin(self) -> None:
        if self._stdin is not None and self._popen.stdin:
            self._stdin = None
            with contextlib.suppress(OSError):
                self._popen.stdin.close()

    def signal(self, number: int) -> None:
        leader = self._host_leader()
        if leader is not None and self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(leader), number)

    def wait(self, timeout: float | None = None) -> Completed:
        until = None if timeout is None else time.monotonic() + timeout
        while self._pump(until):
            if until is not None and time.monotonic() >= until and self._popen.poll() is None:
                raise CommandTimedOut(
                    f"{self._launch.label}: {self._launch.description} did not end within {timeout:g} s",
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
        while left and self._stdin is not None and not (until is not None and time.monotonic() >= until):
            try:
                left = left[os.write(self._stdin, left[:CHUNK]) :]
            except BlockingIOError:
                self._pump(until, write=True)
            except OSError:
                break
        if not left or self._ended_at is not None or until is None:
            self.close_stdin()
        return self.wait(None if until is None else max(0.0, until - time.monotonic()))

    @property
    def closed(self) -> bool:
        return self._closed

    def interact(self) -> int:
        raise TransportFailed(f"{self._launch.label}: {self._launch.description} was started without a terminal")

    def kill(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.close_stdin()
        if self._popen.poll() is None:
            leader = self._host_leader() if hasattr(self, "_leader") else None
            if leader is not None:
                kill_session(leader)
            kill_below(self._popen.pid)
            self._popen.kill()
        self._popen.wait()
        self._close_streams()
        if self._pidfd is not None:
            os.close(self._pidfd)

    def _spawn(self, *, stdin: bool) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._launch.argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._launch.cwd,
            env=self._launch.env,
            bufsize=0,
            start_new_session=True,
        )

    def _streams(self) -> dict[int, bytearray]:
        """What is read, and where it goes."""
        assert self._popen.stdout
        assert self._popen.stderr
        return {self._popen.stdout.fileno(): self._out, self._popen.stderr.fileno(): self._err}

    def _close_streams(self) -> None:
        for stream in (self._popen.stdout, self._popen.stderr):
            if stream:
                stream.close()

    def _handshake(self) -> int | None:
        """The command's pid on the platform; None when it was never started (its cwd or user is missing)."""
        until = time.monotonic() + START_LIMIT
        if self._greeting(until) != READY.strip():
            words = self._err.decode(errors="replace").strip()[-2000:] or self._out.decode(errors="replace").strip()
            gone = self._launch.why_gone()
            what = f"{self._launch.description} could not be started: {words or f'no shell within {START_LIMIT:g} s'}"
            raise TransportFailed(f"{self._launch.label}: {gone or what}")
        pid = self._greeting(until)
        return int(pid) if pid and pid.isdigit() else None

    def _greeting(self, until: float) -> bytes | None:
        while b"\n" not in self._out:
            if not self._pump(until) and b"\n" not in self._out:
                return None
            if time.monotonic() >= until:
                return None
        line, _, rest = bytes(self._out).partition(b"\n")
        self._out[:] = rest
        return line.strip(b"\r")

    def _host_leader(self) -> int | None:
        return None if self._leader is None else host_pid(self._popen.pid, self._leader)

    def _status(self) -> int:
        code = self._popen.wait()
        return 128 - code if code < 0 else code

    def _pump(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        """Wait until something can be read (or written, or read from `also`), and read it. False once it has ended.

        A process left in the background may hold the streams open for ever: what counts is the end of the command.
        """
        if self._ended_at is not None:
            return False
        if self._popen.poll() is not None:
            self._ended_at = time.monotonic()
            for descriptor in list(self._readers):
                self._drain(descriptor)
            return False
        poller = select.poll()
        for source in (*self._readers, also, self._pidfd):
            if source is not None:
                poller.register(source, select.POLLIN)
        if write and self._stdin is not None:
            events = select.POLLOUT | (select.POLLIN if self._stdin in self._readers else 0)
            poller.register(self._stdin, events)
        pause = 60.0 if self._pidfd is not None else 0.05
        if until is not None:
            pause = min(pause, max(0.0, until - time.monotonic()))
        for descriptor, _ in poller.poll(pause * 1000):
            if descriptor in self._readers:
                self._read(descriptor, CHUNK)
        return True

    def _drain(self, descriptor: int) -> None:
        """What it had written when it ended: no more than the pipe holds, even when somebody goes on writing."""
        left = PIPE_SIZE
        while left > 0 and (count := self._read(descriptor, left)):
            left -= count

    def _read(self, descriptor: int, limit: int) -> int:
        try:
            data = os.read(descriptor, limit)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: nobody holds the other side of the PTY
            data = b""
        if data:
            self._readers[descriptor].extend(data)
        else:
            del self._readers[descriptor]
        return len(data)
