# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A byte stream to one shell on a platform: all that the persistent shell stands on."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

assert sys.platform != "win32"

from harness.connections.processes import host_pid, kill_below


class ChannelClosed(Exception):
    """The other end is gone; the argument is what it said last."""


class Channel(ABC):
    @abstractmethod
    def send(self, data: bytes, until: float | None) -> None:
        """All of it. `until` is on the monotonic clock. Raises ChannelClosed, TimeoutError."""

    @abstractmethod
    def receive(self, until: float | None) -> bytes:
        """At least one byte. Raises ChannelClosed, TimeoutError."""

    @abstractmethod
    def kill_children(self, pid: int) -> None:
        """SIGKILL, on a way of its own, to what the shell (its own `$$` is `pid`) runs, sessions included."""

    def root(self, pid: int) -> Path | None:
        """Where this host sees the root folder of the shell (its own `$$` is `pid`), if it does."""
        return None

    @abstractmethod
    def ended(self) -> bool: ...

    @abstractmethod
    def close(self, *, patience: float) -> None:
        """End the stream, and the shell with it: by force when it has not ended after `patience` seconds."""


class PipeChannel(Channel):
    """To a shell that a child process of ours is, or stands for. Its processes are visible on this host."""

    def __init__(self, argv: Sequence[str], *, cwd: str | None = None, env: Mapping[str, str] | None = None) -> None:
        # A file, since nobody reads it before the end: a pipe could fill up.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=cwd,
                env=env,
                bufsize=0,
                start_new_session=True,  # Ctrl-C at our terminal is ours to handle
            )
        except BaseException:
            self._errors.close()
            raise
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(self._stdout, select.POLLIN)
        self._writable.register(self._stdin, select.POLLOUT)

    def send(self, data: bytes, until: float | None) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._stdin.fileno(), left) :]
            except BlockingIOError:
                _wait(self._writable, until)
            except BrokenPipeError as error:
                raise ChannelClosed(self._last_words()) from error

    def receive(self, until: float | None) -> bytes:
        while True:
            _wait(self._readable, until)
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._stdout.fileno(), 1 << 18)
                if not data:
                    raise ChannelClosed(self._last_words())
                return data

    def root(self, pid: int) -> Path | None:
        shell = host_pid(self._process.pid, pid)
        root = Path(f"/proc/{shell}/root")
        return root if shell is not None and os.access(root, os.X_OK) else None

    def kill_children(self, pid: int) -> None:
        shell = host_pid(self._process.pid, pid)
        if shell is not None:
            kill_below(shell, goes_on=True)

    def ended(self) -> bool:
        return self._process.poll() is not None

    def close(self, *, patience: float) -> None:
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            kill_below(self._process.pid)
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._errors.close()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 2000))
        return self._errors.read().decode(errors="replace").strip()


def _wait(poller: select.poll, until: float | None) -> None:
    """Raises TimeoutError."""
    timeout = None if until is None else max(0.0, until - time.monotonic()) * 1000
    if not poller.poll(timeout):
        raise TimeoutError
