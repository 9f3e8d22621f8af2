"""Hears the one report that a foreign runner posts, on a socket that is its platform's alone while the runner runs."""

from __future__ import annotations

import select
import selectors
import socket
import threading
import time
from contextlib import AbstractContextManager, suppress
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from harness.deadline import Deadline
from harness.models.posted import PostedReport

LARGEST = 32 * 1024 * 1024
"""Bytes of a report; a larger one is refused unread."""
_SILENCE = 30.0
"""Seconds that a client may be silent."""
_LAST_SECONDS, _ON_ITS_WAY = 5.0, 0.25
"""After the end of a runner: for those who are being heard, and for one of whom nothing is to be seen yet."""
_AT_ONCE = 16
_TOLD = 5


class Collector(AbstractContextManager["Collector"]):
    """`faults`: what was wrong with what was posted, in words; `strays`: what else came."""

    def __init__(self, listening: socket.socket, path: str) -> None:
        self.report: PostedReport | None = None
        self.faults: list[str] = []
        self.strays: list[str] = []
        self._path = path
        self._listening = listening
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="harness-collector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nobody is heard any more."""
        self._wake.send(b"\0")
        self._thread.join()
        with self._lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        self._wake.close()
        self._woken.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not any(key.fileobj is self._woken for key, _ in selector.select()):
                with suppress(OSError):
                    self._take()

    def _take(self) -> None:
        with self._lock:  # so that `settle` sees each who comes, waiting or taken
            client, _ = self._listening.accept()
            crowded = len(self._clients) >= _AT_ONCE
            if not crowded:
                self._clients.add(client)
        if crowded:
            client.close()
            return
        threading.Thread(target=self._serve, args=(client,), name="harness-report", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        collector = self

        class Handler(_Handler):
            def judge(self) -> int:
                return collector.hear(self)

        try:
            with client, suppress(OSError):
                Handler(client, "", self)  # type: ignore[arg-type]  # it only hands the server on
        finally:
            with self._lock:
                self._clients.discard(client)

    def settle(self) -> None:
        """Until all who have come are heard, or some seconds are over: who has sent its report may end before that was
        read, and over a forwarded port it is still on its way then."""
        waited = Deadline(_LAST_SECONDS)
        while not waited.expired():
            with self._lock:
                pending = bool(self._clients or select.select([self._listening], [], [], 0)[0])
                told = self.report is not None or bool(self.faults)
            if not pending and (told or waited.elapsed() > _ON_ITS_WAY):
                return
            time.sleep(0.01)

    def hear(self, request: _Handler) -> int:
        """The HTTP status of the answer."""
        if (request.command, request.path) != ("POST", self._path):
            self._add(self.strays, f"{request.command} {request.path}")
            return 404 if request.path != self._path else 405
        status, words = self._judge(request)
        if words is not None:
            self._add(self.faults, words)
        return status

    def _judge(self, request: _Handler) -> tuple[int, str | None]:
        length = request.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return 411, "a report without a Content-Length"
        if len(length) > 12 or int(length) > LARGEST:
            return 413, f"a report of {length[:20]} bytes, where {LARGEST} are taken"
        try:
            body = request.rfile.read(int(length))
        except OSError:
            body = b""
        if len(body) < int(length):
            return 400, f"a report that ended before its {length} bytes"
        try:
            report = PostedReport.model_validate_json(body)
        except ValidationError as error:
            return 400, f"a malformed report: {_first(error)}"
        with self._lock:
            if self.report is not None:
                return 409, "a second report"
            self.report = report
        return 200, None

    def _add(self, told: list[str], words: str) -> None:
        with self._lock:
            if len(told) < _TOLD:
                told.append(words[:300])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE

    def judge(self) -> int:
        raise NotImplementedError

    def answer(self) -> None:
        status = self.judge()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def log_message(self, format: str, *args: Any) -> None:
        """Whoever runs the harness did not ask for a server's log."""


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else fault["msg"]
