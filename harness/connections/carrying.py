# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Whoever connects to a platform's own loopback, carried here over the streams of a command there (`listener.py`)."""

from __future__ import annotations

import contextlib
import functools
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

assert sys.platform != "win32"

from harness.connections.base import Command
from harness.connections.listener import PIECE, SECONDS, TAKEN
from harness.connections.listening import on_file, taken
from harness.connections.stream import START_LIMIT, StreamProcess
from harness.errors import CommandTimedOut, HarnessError, TransportFailed, Unsupported

_HEAD = 9
"""Bytes of a frame before its data."""
_JOIN_SECONDS = 2.0
_NO_PYTHON = 127


class Starter(Protocol):
    """What of a connection is needed here."""

    label: str
    name: str

    def channel(self, command: Command, *, stdin: bool = False) -> StreamProcess: ...


@contextlib.contextmanager
def carried(connection: Starter, port: int) -> Iterator[socket.socket]:
    """What `Connection.listen` promises, where there is python3 on the platform."""
    with (
        on_file() as (listening, path),
        connection.channel(["sh", "-c", _START, _program(), str(port)], stdin=True) as process,
    ):
        _begun(connection, process, port)
        with Carrier(process, path):
            yield listening


_START = (
    'command -v python3 >/dev/null || { echo "python3 is missing there" >&2; exit 127; }; exec python3 -ISc "$0" "$1"'
)


@functools.cache
def _program() -> str:
    return (Path(__file__).parent / "listener.py").read_text(encoding="utf-8")


def _begun(connection: Starter, process: StreamProcess, port: int) -> None:
    """Raises PortTaken, TransportFailed, Unsupported."""
    until = time.monotonic() + START_LIMIT
    said: bytes | None = b""
    while said is not None and not said.endswith(b"\n") and time.monotonic() < until:
        said = process.chunk(until)
    if said:
        return
    try:
        ended = process.wait(0)
    except CommandTimedOut:
        words = f"not within {START_LIMIT:g} s"
    else:
        if ended.rc == TAKEN:
            raise taken(connection.label, port)
        words = ended.err.strip()
        if ended.rc == _NO_PYTHON:
            hint = "with python3 there it works; a compiler's `results: exit-status` does without"
            raise Unsupported(f"a listener on its loopback ({words})", by=connection.name, hint=hint)
    raise TransportFailed(f"{connection.label}: no listener on its 127.0.0.1:{port}: {words}")


class Carrier(contextlib.AbstractContextManager["Carrier"]):
    """Between the frames of the process and connections to the socket file at `path`, on a thread of its own: the only
    one that reads and writes them."""

    def __init__(self, process: StreamProcess, path: str) -> None:
        self._process = process
        self._path = path
        self._clients: dict[int, socket.socket] = {}
        self._heard = bytearray()
        self._closing = False
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="harness-carrier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whoever is still connected is cut off, here and there."""
        self._closing = True
        self._wake.send(b"\0")
        for client in list(self._clients.values()):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._thread.join(_JOIN_SECONDS)
        self._process.kill()  # before, it may wait for a platform that stands still
        self._thread.join()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(HarnessError):
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._woken, selectors.EVENT_READ)
            stack.callback(self._drop_all)
            while not self._closing:
                came = self._process.chunk(also=self._selector.fileno())
                if came is None:
                    break
                self._heard += came
                self._obey()
                for key, _ in self._selector.select(0):
                    if key.data is not None:
                        self._hear(key.data)

    def _obey(self) -> None:
        at = 0
        while len(self._heard) - at >= _HEAD and not self._closing:
            kind, number, length = struct.unpack_from(">cII", self._heard, at)
            end = at + _HEAD + length
            if end > len(self._heard):
                break
            data = bytes(self._heard[at + _HEAD : end])
            at = end
            if kind == b"a":
                self._accepted(number)
            elif number in self._clients:
                self._tell(number, kind, data)
        del self._heard[:at]

    def _accepted(self, number: int) -> None:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(SECONDS)
        self._clients[number] = client
        try:
            client.connect(self._path)
        except OSError:  # nobody hears them any more
            self._drop(number)
        else:
            self._selector.register(client, selectors.EVENT_READ, number)

    def _tell(self, number: int, kind: bytes, data: bytes) -> None:
        client = self._clients[number]
        try:
            if kind == b"d":
                client.sendall(data)
            else:
                client.shutdown(socket.SHUT_WR)
        except OSError:  # it is not heard to its end; what was answered is still on its way
            pass

    def _hear(self, number: int) -> None:
        try:
            data = self._clients[number].recv(PIECE)
        except OSError:
            data = b""
        if data:
            self._process.write(struct.pack(">cII", b"d", number, len(data)) + data)
        else:
            self._drop(number)

    def _drop(self, number: int) -> None:
        client = self._clients.pop(number)
        with contextlib.suppress(KeyError):
            self._selector.unregister(client)
        client.close()
        self._process.write(struct.pack(">cII", b"c", number, 0))

    def _drop_all(self) -> None:
        for client in self._clients.values():
            client.close()
