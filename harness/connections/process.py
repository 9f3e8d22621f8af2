# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A command on a channel of its own: a child process of ours that is, or stands for, a process on the platform."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

assert sys.platform != "win32"

from harness.connections.processes import host_pid, kill_below, kill_session
from harness.connections.stream import CHUNK, StreamProcess

PIPE_SIZE = 1 << 16
"""Bytes that a pipe holds unless somebody asked for more, pipe(7)."""


@dataclass(frozen=True)
class Launch:
    """`argv` runs on this host; the rest as `StreamProcess` has it."""

    argv: Sequence[str]
    label: str
    description: str
    why_gone: Callable[[], str | None]
    cwd: str | None = None
    env: Mapping[str, str] | None = None


class ChildProcess(StreamProcess):
    """Without a PTY."""

    def __init__(self, launch: Launch, *, stdin: bool) -> None:
        super().__init__(launch.label, launch.description, launch.why_gone)
        self._launch = launch
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

    def kill(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.close_stdin()
        if self._popen.poll() is None:
            leader = self._host_leader()
            if leader is not None:
                kill_session(leader)
            kill_below(self._popen.pid)
            self._popen.kill()
        self._popen.wait()
        self._close_streams()
        if self._pidfd is not None:
            os.close(self._pidfd)

    @property
    def _stdin_open(self) -> bool:
        return self._stdin is not None

    def _write_some(self, data: memoryview) -> int:
        assert self._stdin is not None
        return os.write(self._stdin, data)

    def _has_ended(self) -> bool:
        return self._popen.poll() is not None

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

    def _host_leader(self) -> int | None:
        return None if self._leader is None else host_pid(self._popen.pid, self._leader)

    def _status(self) -> int:
        code = self._popen.wait()
        return 128 - code if code < 0 else code

    def _pump(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        # A process left in the background may hold the streams open for ever: what counts is the end of the command.
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
