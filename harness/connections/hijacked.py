"""What the daemon's HTTP leaves behind when an exec begins: a socket, or a TLS session on one.

It is non-blocking, and `descriptor` is there to be polled.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import sys
from typing import Any, Protocol

assert sys.platform != "win32"


class Hijacked(Protocol):
    descriptor: int
    ahead: bytes
    """What had been read already with the daemon's answer."""

    def read(self, size: int) -> bytes:
        """Nothing at the end. Raises BlockingIOError, OSError."""

    def write(self, data: memoryview) -> int:
        """How much was taken. Raises BlockingIOError, OSError."""

    def pending(self) -> bool:
        """Whether `read` has something that polling the descriptor does not show."""

    def end_stdin(self) -> None:
        """Raises OSError."""

    def close(self) -> None:
        """Raises OSError."""


def hijacked(started: Any) -> Hijacked:
    """From what the SDK returns for `exec_start(socket=True)`."""
    if isinstance(getattr(started, "_sock", started), ssl.SSLSocket):
        return _Tls(started)
    return _Socket(started)


class _Socket:
    """The daemon's socket itself."""

    def __init__(self, started: Any) -> None:
        self._started = started
        self._response = getattr(started, "_response", None)
        self._raw: socket.socket = getattr(started, "_sock", started)
        self._raw.setblocking(False)
        self.descriptor = self._raw.fileno()
        self.ahead = self._peeked()

    def read(self, size: int) -> bytes:
        return self._raw.recv(size)

    def write(self, data: memoryview) -> int:
        return self._raw.send(data)

    def pending(self) -> bool:
        return False

    def end_stdin(self) -> None:
        self._raw.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)
        if self._response is not None:
            self._response.close()
        self._started.close()
        self._raw.close()

    def _peeked(self) -> bytes:
        return bytes(self._response.raw._fp.fp.peek()) if self._response is not None else b""


class _Tls(_Socket):
    """A TLS session over it. Its end of stdin is a `close_notify`; what comes the other way goes on (RFC 8446, 6.1)."""

    _raw: ssl.SSLSocket

    def read(self, size: int) -> bytes:
        try:
            return self._raw.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except ssl.SSLEOFError:  # a daemon that dies does not say goodbye
            return b""

    def write(self, data: memoryview) -> int:
        try:
            return self._raw.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def pending(self) -> bool:
        return self._raw.pending() > 0

    def end_stdin(self) -> None:
        # `unwrap` sends it at once and then looks for the peer's, which comes at the end of the stream; output that it
        # finds instead would be lost (SSL_shutdown(3)). So meanwhile OpenSSL has a socket on which nothing ever comes.
        quiet, sent = socket.socketpair()
        with quiet, sent:
            quiet.setblocking(False)
            sent.setblocking(False)
            aside = os.dup(self.descriptor)
            try:
                os.dup2(quiet.fileno(), self.descriptor, inheritable=False)
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._raw.unwrap()
            finally:
                os.dup2(aside, self.descriptor, inheritable=False)
                os.close(aside)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._send_as_it_is(sent.recv(1 << 16))

    def _send_as_it_is(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self.descriptor, left) :]
            except BlockingIOError:
                select.select([], [self.descriptor], [])

    def _peeked(self) -> bytes:
        try:
            return super()._peeked()
        except ssl.SSLWantReadError:
            return b""
