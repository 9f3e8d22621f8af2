# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Commands in a container, each an exec of its own; and what ends them: another exec."""

from __future__ import annotations

import contextlib
import os
import select
import signal as signals
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

assert sys.platform != "win32"

from harness.connections.ending import KILL_BELOW, KILL_SESSION, SIGNAL_GROUP
from harness.connections.exec_stream import ExecStream
from harness.connections.marked import MarkedProcess
from harness.connections.terminal import END_OF_FILE, TerminalStream

if TYPE_CHECKING:
    from docker.api.client import APIClient


class Executor:
    """Starts execs in one container."""

    def __init__(self, client: APIClient, container: str) -> None:
        self.client = client
        self.container = container

    def stream(self, argv: list[str], *, stdin: bool, pty: bool = False, user: str = "") -> ExecStream:
        return ExecStream(self.client, self.container, argv, stdin=stdin, pty=pty, user=user)

    def kill_below(self, pid: int) -> None:
        self._quietly(KILL_BELOW, str(pid))

    def kill_session(self, leader: int) -> None:
        self._quietly(KILL_SESSION, str(leader))

    def signal_group(self, leader: int, number: int) -> None:
        self._quietly(SIGNAL_GROUP, str(leader), str(number))

    def resize(self, stream: ExecStream) -> None:
        if os.isatty(0):
            size = os.get_terminal_size(0)
            with contextlib.suppress(Exception):  # it may have ended; and a wrong size hurts nobody
                self.client.exec_resize(stream.id, height=size.lines, width=size.columns)

    def _quietly(self, script: str, *arguments: str, seconds: float = 10.0) -> None:
        """As root of the container, to its end. Nothing where the container has gone: then all in it has, too."""
        import requests
        from docker.errors import DockerException

        try:
            stream = self.stream(["sh", "-c", script, "sh", *arguments], stdin=False, user="0")
        except (DockerException, requests.RequestException, OSError):
            return
        until = time.monotonic() + seconds
        try:
            while not stream.ended and (left := until - time.monotonic()) > 0:
                if not stream.ahead:
                    select.select([stream.descriptor], [], [], left)
                stream.read()
        finally:
            stream.close()


class ExecProcess(MarkedProcess):
    """Without a PTY.

    The daemon ends a stream only when the last holder of it has gone, or two seconds later: so the shell that waits for
    the command closes both streams itself, with a mark that no command can know and its status.
    """

    def __init__(
        self,
        executor: Executor,
        text: str,
        label: str,
        description: str,
        why_gone: Callable[[], str | None],
        *,
        stdin: bool,
    ) -> None:
        super().__init__(executor, label, description, why_gone, stdin=stdin)
        self._executor = executor
        self._stream = self._open(text, stdin=stdin)
        try:
            self._leader = self._handshake()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._look() and self._leader is not None:
            self._executor.kill_session(self._leader)
        self._stream.close()
        self._ended_at = self._ended_at or time.monotonic()

    def _write_some(self, data: memoryview) -> int:
        if self._ended_at is not None:
            raise BrokenPipeError
        return self._stream.write(data)

    def _end_stdin(self) -> None:
        self._stream.close_stdin()

    def _has_something(self) -> bool:
        return self._stream.ahead or bool(select.select([self._stream.descriptor], [], [], 0)[0])

    def _read(self) -> tuple[bytes, bytes, bool]:
        out, err = self._stream.read()  # which finds the end
        return out, err, self._stream.ended

    def _open(self, text: str, *, stdin: bool) -> ExecStream:
        return self._executor.stream(["sh", "-c", self._marked_text(text)], stdin=stdin)

    def _pump(self, until: float | None, *, write: bool = False, also: int | None = None) -> bool:
        if self._ended_at is not None:
            return False
        poller = select.poll()
        writing = select.POLLOUT if write and self._writable else 0
        poller.register(self._stream.descriptor, select.POLLIN | writing)
        if also is not None:
            poller.register(also, select.POLLIN)
        pause = 0.0 if self._stream.ahead else 60.0 if until is None else max(0.0, until - time.monotonic())
        poller.poll(pause * 1000)
        self._take()
        return True

    def _status(self) -> int:
        if self._rc is None:
            self._rc = self._asked_status()
        return self._rc

    def _asked_status(self) -> int:
        """The daemon's word, where the shell could not give its own; 137 (SIGKILL) when the container has gone."""
        import requests
        from docker.errors import DockerException

        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                status = self._stream.status()
            except (DockerException, requests.RequestException):
                break
            if status is not None:
                return status
            time.sleep(0.01)
        return 128 + signals.SIGKILL


class ExecTerminal(ExecProcess, TerminalStream):
    """With a PTY, which lies in the container."""

    def close_stdin(self) -> None:
        """What a person does: Ctrl-D."""
        if self._ended_at is None:
            with contextlib.suppress(OSError):
                self._stream.write(memoryview(END_OF_FILE))

    def _open(self, text: str, *, stdin: bool) -> ExecStream:
        if os.isatty(0):
            size = os.get_terminal_size(0)
            text = f"stty rows {size.lines} cols {size.columns} 2>/dev/null\n{text}"
        return self._executor.stream(["sh", "-c", text], stdin=True, pty=True)

    def _resize(self) -> None:
        self._executor.resize(self._stream)
