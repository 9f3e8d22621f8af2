# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""One exec of a container: the daemon's hijacked connection, as a non-blocking stream of frames.

Without a terminal what comes is cut into frames, of stdout and of stderr (Docker Engine API, ContainerAttach, "Stream
format"); with one it is raw.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from typing import TYPE_CHECKING, Any

assert sys.platform != "win32"

from harness.connections.hijacked import hijacked

if TYPE_CHECKING:
    from docker.api.client import APIClient

CHUNK = 1 << 18
_HEADER = struct.Struct(">BxxxL")
_STDERR = 2


class ExecStream:
    """`descriptor` is there to be polled."""

    def __init__(
        self, client: APIClient, container: str, argv: list[str], *, stdin: bool, pty: bool, user: str = ""
    ) -> None:
        """Raises docker's errors."""
        self._client = client
        self._pty = pty
        self.ended = False
        made = client.exec_create(container, argv, stdin=stdin, stdout=True, stderr=True, tty=pty, user=user)
        self.id: str = made["Id"]
        started: Any = client.exec_start(self.id, tty=pty, socket=True)
        self._pipe = hijacked(started)
        self.descriptor = self._pipe.descriptor
        self._buffer = bytearray(self._pipe.ahead)
        self._frame = 0
        self._is_error = False

    def write(self, data: memoryview) -> int:
        """How much was taken. Raises BlockingIOError, OSError."""
        return self._pipe.write(data)

    def read(self) -> tuple[bytes, bytes]:
        """What has come on stdout and stderr, perhaps nothing; sets `ended` at the end of the stream."""
        data = b""
        if not self.ended:
            try:
                data = self._pipe.read(CHUNK)
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
        """Whether `read` has something to give without waiting: what came together with the daemon's answer, or lies
        in a TLS session."""
        whole = bool(self._buffer) and (self._pty or self._frame > 0 or len(self._buffer) >= _HEADER.size)
        return whole or (not self.ended and self._pipe.pending())

    def close_stdin(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.end_stdin()

    def close(self) -> None:
        self.ended = True
        with contextlib.suppress(OSError):
            self._pipe.close()

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
