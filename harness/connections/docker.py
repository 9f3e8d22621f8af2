# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A container, over the exec streams of its daemon: no `docker` process, and nothing is needed inside but a `sh`."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from socket import socket
from typing import Any

assert sys.platform != "win32"

from harness import daemon
from harness.connections.carrying import carried
from harness.connections.channel import Channel, ChannelClosed
from harness.connections.docker_process import ExecProcess, ExecTerminal, Executor
from harness.connections.exec_stream import ExecStream
from harness.connections.listening import in_network_of
from harness.connections.posix import PosixConnection
from harness.connections.stream import StreamProcess
from harness.errors import TransportFailed
from harness.models.endpoint import Docker

LAST_WORDS = 2000


class DockerConnection(PosixConnection):
    """It outlives a restart of its container: the next command gets a new shell."""

    def __init__(self, endpoint: Docker, label: str) -> None:
        super().__init__(label, f"container {endpoint.container[:12]}")
        self._endpoint = endpoint
        self._client: Any = None
        self._client_lock = threading.Lock()

    def why_gone(self) -> str | None:
        try:
            self._state()
        except TransportFailed as error:
            return error.of(self.label)
        return None

    def open_channel(self) -> Channel:
        state = self._state()
        executor = self._executor()
        return ExecChannel(executor, self._exec(executor, ["sh"], stdin=True), int(state["Pid"]))

    def launch(self, text: str, description: str, *, stdin: bool, pty: bool) -> StreamProcess:
        import requests
        from docker.errors import DockerException

        kind = ExecTerminal if pty else ExecProcess
        try:
            return kind(self._executor(), text, self.label, description, self.why_gone, stdin=stdin or pty)
        except (DockerException, requests.RequestException, OSError) as error:
            raise self._failed(error) from error

    def listen(self, port: int) -> AbstractContextManager[socket]:
        pid = int(self._state()["Pid"])
        try:
            itself = self._endpoint.container in Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8")
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            itself, fields = False, []
        if not itself or os.geteuid() != 0:  # the daemon is elsewhere, or not ours
            return carried(self, port)
        return in_network_of(pid, int(fields[19]), port, self.label)

    def close(self) -> None:
        super().close()
        with self._client_lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _executor(self) -> Executor:
        with self._client_lock:
            if self._client is None:
                try:
                    self._client = daemon.connect(self._endpoint.daemon)
                except daemon.DaemonFailed as error:
                    raise TransportFailed(f"{self.label}: {error.message}", hint=error.hint) from error
            return Executor(self._client, self._endpoint.container)

    def _exec(self, executor: Executor, argv: list[str], *, stdin: bool) -> ExecStream:
        import requests
        from docker.errors import DockerException

        try:
            return executor.stream(argv, stdin=stdin)
        except (DockerException, requests.RequestException, OSError) as error:
            raise self._failed(error) from error

    def _state(self) -> dict[str, Any]:
        """Of a container that runs. Raises TransportFailed."""
        import requests
        from docker.errors import DockerException, NotFound

        container = self._endpoint.container[:12]
        try:
            state: dict[str, Any] = self._executor().client.inspect_container(self._endpoint.container)["State"]
        except NotFound as error:
            raise TransportFailed(
                f"{self.label}: the container {container} no longer exists", hint="`harness create` makes a new one"
            ) from error
        except (DockerException, requests.RequestException, OSError) as error:
            failed = daemon.unreachable(self._endpoint.daemon, error)
            raise TransportFailed(f"{self.label}: {failed.message}", hint=failed.hint) from error
        if not state["Running"]:
            raise TransportFailed(
                f"{self.label}: the container {container} is {state['Status']} (status {state['ExitCode']})",
                hint="docker logs tells its last words",
            )
        if state["Paused"]:
            raise TransportFailed(
                f"{self.label}: the container {container} is paused", hint=f"docker unpause {container}"
            )
        return state

    def _failed(self, error: Exception) -> TransportFailed:
        words = self.why_gone() or f"no shell could be started: {getattr(error, 'explanation', None) or error}"
        return TransportFailed(f"{self.label}: {words}")


class ExecChannel(Channel):
    """To a shell in the container. `holder` is the container's PID 1 as the daemon's host numbers it."""

    def __init__(self, executor: Executor, stream: ExecStream, holder: int) -> None:
        self._executor = executor
        self._stream = stream
        self._holder = holder
        self._got = bytearray()
        self._said = bytearray()
        self._poller = select.poll()
        self._poller.register(stream.descriptor, select.POLLIN)

    def send(self, data: bytes, until: float | None) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._stream.write(left) :]
            except BlockingIOError:
                self._wait(until, write=True)
                self._read()
            except OSError as error:
                raise ChannelClosed(self._last_words()) from error

    def receive(self, until: float | None) -> bytes:
        while not self._got:
            if self._stream.ended:
                raise ChannelClosed(self._last_words())
            if not self._stream.ahead:
                self._wait(until)
            self._read()
        data = bytes(self._got)
        self._got.clear()
        return data

    def kill_children(self, pid: int) -> None:
        self._executor.kill_below(pid)

    def root(self, pid: int) -> Path | None:
        """Where the daemon is this host's own, and we are root."""
        root = Path(f"/proc/{self._holder}/root")
        return root if os.access(root, os.X_OK) else None

    def ended(self) -> bool:
        if not self._stream.ended and (self._stream.ahead or self._poller.poll(0)):
            self._read()
        return self._stream.ended

    def close(self, *, patience: float) -> None:
        """The end of its stdin ends a shell; one that still runs a command is ended with it."""
        self._stream.close_stdin()
        until = time.monotonic() + patience
        with contextlib.suppress(TimeoutError):
            while not self._stream.ended:
                if not self._stream.ahead:
                    self._wait(until)
                self._read()
        self._stream.close()

    def _read(self) -> None:
        out, err = self._stream.read()
        self._got += out
        self._said = (self._said + err)[-LAST_WORDS:]

    def _wait(self, until: float | None, *, write: bool = False) -> None:
        """Raises TimeoutError."""
        timeout = None if until is None else max(0.0, until - time.monotonic()) * 1000
        poller = self._poller
        if write:
            poller = select.poll()
            poller.register(self._stream.descriptor, select.POLLIN | select.POLLOUT)
        if not poller.poll(timeout):
            raise TimeoutError

    def _last_words(self) -> str:
        return bytes(self._said).decode(errors="replace").strip()
