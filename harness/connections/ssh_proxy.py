# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""The proxy command of an endpoint: a program whose stdin and stdout lead to its sshd."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading

assert sys.platform != "win32"

from harness.errors import TransportFailed

_TAIL = 1000


class Proxy:
    """A started proxy command. `socket` is this side's end."""

    def __init__(self, command: str, *, passes_socket: bool) -> None:
        """`command` without tokens. Raises OSError, TransportFailed."""
        self.socket, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                stdin=subprocess.DEVNULL if passes_socket else theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C at our terminal is ours to handle
            )
        except BaseException:
            self.socket.close()
            self._errors.close()
            raise
        finally:
            theirs.close()
        if passes_socket:
            self._take_over()

    def _take_over(self) -> None:
        """The socket that the command has connected instead of ours. Raises TransportFailed."""
        with self.socket as passage:
            passage.settimeout(30)
            try:
                _, descriptors, _, _ = socket.recv_fds(passage, 1, 1)
            except OSError:
                descriptors = []
        if not descriptors:
            words = self.words()
            self.close()
            raise TransportFailed(words or "the proxy command passed no socket")
        self.socket = socket.socket(fileno=descriptors[0])

    def words(self) -> str:
        """What it said on stderr."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._errors.seek(max(0, self._errors.seek(0, 2) - _TAIL))
        return self._errors.read().decode(errors="replace").strip()

    def last_words(self) -> tuple[str, bool]:
        """Ends it: what it said, and whether it failed by itself, so that it need not be tried again (255 is what
        ssh(1) says, also where sshd has too many at its door)."""
        said = self.words()
        status = self._process.poll()
        self.close()
        return said, status is not None and status not in (0, 255)

    def close(self) -> None:
        """End it; it is waited for aside, since it may take its time."""
        self.socket.close()
        if self._process.poll() is None:
            self._process.terminate()
            threading.Thread(target=self._process.wait, daemon=True).start()
        self._errors.close()
