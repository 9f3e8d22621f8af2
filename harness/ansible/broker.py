# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""What lets Ansible use connections that this process has open.

The connection plugin (plugins/connection/harness.py) speaks to a unix socket in a folder that only this user may
enter, and shows a token. A request is a length (4 bytes, big-endian), that many bytes of JSON, then the stdin it
announces; an answer is the same with stdout and stderr. Files are named by path: both ends are on this machine.

Each client (a worker of Ansible, one task on one host) has a thread. A client that hangs up (a task's own timeout,
a killed Ansible) takes its command with it.
"""

from __future__ import annotations

import json
import secrets
import select
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

assert sys.platform != "win32"

from harness.connections.base import Completed, Connection
from harness.errors import CommandTimedOut, HarnessError, TransportFailed

_LOOK = 0.2
"""Seconds after which a running command's client is looked at again."""
_CHUNK = 1 << 18
_CLOSING = 10.0


class Broker:
    """Serves `connections` by name at `path` while its context is open."""

    def __init__(self, path: Path, connections: Mapping[str, Connection]) -> None:
        self.path = path
        self.token = secrets.token_hex(16)
        self._connections = connections
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen(128)
        self._start(self._accept, "broker")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(_CLOSING)
        self._listener.close()

    def _start(self, work: Any, name: str, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"harness-ansible-{name}", daemon=True)
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, "client", client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError):
            while not self._closing.is_set():
                if not select.select([client], [], [], _LOOK)[0]:
                    continue
                request, stdin = _receive(client)
                answer, out, err = self._answer(client, request, stdin)
                _send(client, {**answer, "out": len(out), "err": len(err)}, out, err)

    def _answer(
        self, client: socket.socket, request: Mapping[str, Any], stdin: bytes
    ) -> tuple[dict[str, Any], bytes, bytes]:
        if not secrets.compare_digest(str(request.get("token")), self.token):
            return {"unreachable": "the harness does not know this client"}, b"", b""
        host = str(request.get("host"))
        connection = self._connections.get(host)
        if connection is None:
            return {"unreachable": f"the harness has no connection to {host!r}"}, b"", b""
        try:
            done = self._do(client, connection, request, stdin)
        except (TransportFailed, CommandTimedOut) as error:
            return {"unreachable": _words(error)}, b"", b""
        except HarnessError as error:
            return {"failed": _words(error)}, b"", b""
        except FileNotFoundError as error:
            return {"missing": f"{error.filename or request.get('source')} does not exist on {host}"}, b"", b""
        except OSError as error:
            return {"failed": f"{error.strerror or error}: {error.filename or ''}"}, b"", b""
        return {"rc": done.rc}, done.stdout, done.stderr

    def _do(self, client: socket.socket, connection: Connection, request: Mapping[str, Any], stdin: bytes) -> Completed:
        user = request.get("user") or None
        if request["do"] == "exec":
            if request.get("short"):
                return connection.run(request["command"], user=user)
            return self._exec(client, connection, request["command"], stdin, user)
        if request["do"] == "put":
            connection.push(Path(request["source"]), request["destination"])
            if user is not None:
                connection.run(["chown", "--", str(user), request["destination"]])
        else:
            connection.pull(request["source"], Path(request["destination"]))
        return Completed(0, b"", b"", 0.0)

    def _exec(
        self, client: socket.socket, connection: Connection, command: str, stdin: bytes, user: str | None
    ) -> Completed:
        with connection.start(command, stdin=bool(stdin), user=user) as process:
            if stdin:
                with suppress(TransportFailed):  # it read no more and has ended: its own words tell why
                    process.write(stdin)
                process.close_stdin()
            while True:
                try:
                    return process.wait(_LOOK)
                except CommandTimedOut:
                    if self._closing.is_set() or _hung_up(client):
                        raise EOFError from None


def _words(error: HarnessError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _hung_up(client: socket.socket) -> bool:
    """A client says nothing while it waits, so what can be read is its end."""
    return bool(select.select([client], [], [], 0)[0])


def _receive(client: socket.socket) -> tuple[dict[str, Any], bytes]:
    request = json.loads(_exactly(client, int.from_bytes(_exactly(client, 4), "big")))
    return request, _exactly(client, int(request.get("stdin", 0)))


def _exactly(client: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = client.recv(min(_CHUNK, count - len(data)))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _send(client: socket.socket, answer: Mapping[str, Any], *pieces: bytes) -> None:
    header = json.dumps(answer).encode()
    client.sendall(len(header).to_bytes(4, "big") + header)
    for piece in pieces:
        client.sendall(piece)
