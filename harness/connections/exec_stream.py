# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""One exec of a container: the daemon's hijacked connection, as a non-blocking stream of frames.

Without a terminal what comes is cut into frames, of stdout and of stderr (Docker Engine API, ContainerAttach, "Stream
format"); with one it is raw.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

assert sys.platform != "win32"

from harness.errors import TransportFailed

if TYPE_CHECKING:
    from docker.api.client import APIClient

CHUNK = 1 << 18
_HEADER = struct.Struct(">BxxxL")
_STDERR = 2


class ExecStream:
    """`reader` and `writer` are descriptors of this process, non-blocking; they are one for a socket."""

    def __init__(
        self, client: APIClient, container: str, argv: list[str], *, stdin: bool, pty: bool, user: str = ""
    ) -> None:
        """Raises docker's errors, TransportFailed."""
        self._client = client
        self._pty = pty
        self.ended = False
        made = client.exec_create(container, argv, stdin=stdin, stdout=True, stderr=True, tty=pty, user=user)
        self.id: str = made["Id"]
        started: Any = client.exec_start(self.id, tty=pty, socket=True)
        self.reader, self.writer, self._half_close, self._close, ahead = _descriptors(started)
        self._buffer = bytearray(ahead)
        self._frame = 0
        self._is_error = False

    def write(self, data: memoryview) -> int:
        """How much was taken. Raises BlockingIOError, OSError."""
        return os.write(self.writer, data)

    def read(self) -> tuple[bytes, bytes]:
        """What has come on stdout and stderr, perhaps nothing; sets `ended` at the end of the stream."""
        data = b""
        if not self.ended:
            try:
                data = os.read(self.reader, CHUNK)
                self.ended = not data
            except BlockingIOError:
                pass
            except OSError:  # the daemon went away
                self.ended = True
        if self._pty:
            ahead, self._buffer = bytes(self._buffer), bytearray()
            return ahead + data, b""
        self._buffer += data
        return self._frames()

    @property
    def ahead(self) -> bool:
        """Whether `read` has something to give without waiting: what came together with the daemon's answer."""
        return bool(self._buffer) and (self._pty or self._frame > 0 or len(self._buffer) >= _HEADER.size)

    def close_stdin(self) -> None:
        with contextlib.suppress(OSError):
            self._half_close()

    def close(self) -> None:
        self.ended = True
        with contextlib.suppress(OSError):
            self._close()

    def status(self) -> int | None:
        """Of what ran; None while it runs."""
        found = self._client.exec_inspect(self.id)
        return None if found["Running"] else int(found["ExitCode"] or 0)

    def _frames(self) -> tuple[bytes, bytes]:
        out, err = bytearray(), bytearray()
        at = 0
        while True:
            if self._frame == 0:
                if len(self._buffer) - at < _HEADER.size:
                    break
                kind, self._frame = _HEADER.unpack_from(self._buffer, at)
                self._is_error = kind == _STDERR
                at += _HEADER.size
                continue
            piece = self._buffer[at : at + self._frame]
            if not piece:
                break
            (err if self._is_error else out).extend(piece)
            at += len(piece)
            self._frame -= len(piece)
        del self._buffer[:at]
        return bytes(out), bytes(err)


_Parts = tuple[int, int, Callable[[], None], Callable[[], None], bytes]


def _descriptors(started: Any) -> _Parts:
    """Reader, writer, how to end stdin, how to end all, and what has been read already with the daemon's answer."""
    import ssl

    response = getattr(started, "_response", None)
    proc = getattr(started, "proc", None)
    if proc is not None:  # `ssh HOST docker system dial-stdio`, whose pipes these are
        os.set_blocking(proc.stdout.fileno(), False)
        ahead = proc.stdout.peek()
        os.set_blocking(proc.stdin.fileno(), False)

        def end() -> None:
            started.close()
            proc.terminate()
            proc.wait()
            proc.stdout.close()

        return proc.stdout.fileno(), proc.stdin.fileno(), proc.stdin.close, end, bytes(ahead)
    raw = getattr(started, "_sock", started)
    if isinstance(raw, ssl.SSLSocket):
        raise TransportFailed(
            "a daemon that is reached over TLS cannot be used yet",
            hint="reach it by ssh://HOST, or forward its socket: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST",
        )
    raw.setblocking(False)
    ahead = response.raw._fp.fp.peek() if response is not None else b""

    def close() -> None:
        with contextlib.suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)
        if response is not None:
            response.close()
        started.close()
        raw.close()

    return raw.fileno(), raw.fileno(), lambda: raw.shutdown(socket.SHUT_WR), close, bytes(ahead)
