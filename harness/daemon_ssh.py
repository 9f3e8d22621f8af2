"""A daemon on another machine, by the user's own `ssh`: every connection is one `docker system dial-stdio` there.

The SDK has this, too, but only together with paramiko, and it leaves what `ssh` says on the terminal.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
from shlex import quote
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from docker.transport.basehttpadapter import BaseHTTPAdapter

_LAST_WORDS = 2000


class Dialer:
    """Starts `ssh` for each connection, and ends what is left of them."""

    def __init__(self, url: str) -> None:
        """`url`: ssh://[USER@]HOST[:PORT][/SOCKET]. Raises ValueError."""
        parts = urlsplit(url)
        if not parts.hostname or parts.hostname.startswith("-") or parts.password:
            raise ValueError(f"{url} is not ssh://[USER@]HOST[:PORT]")
        user = ["-l", parts.username] if parts.username else []
        port = ["-p", str(parts.port)] if parts.port else []
        remote = f"docker --host unix://{quote(parts.path)}" if parts.path.strip("/") else "docker"
        self._command = ["ssh", *user, *port, "--", parts.hostname, f"{remote} system dial-stdio"]
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the dialer)

    def dial(self) -> socket.socket:
        """Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is for us, and there is still something to clean up
            )
        with self._lock:
            self._processes = [one for one in self._processes if one.poll() is None] + [process]
        return ours

    def last_words(self) -> str:
        """What `ssh` has said so far."""
        with self._lock:
            if self._said.closed:
                return ""
            self._said.seek(0)
            return self._said.read()[-_LAST_WORDS:].decode(errors="replace").strip()

    def close(self) -> None:
        with self._lock:
            processes, self._processes = self._processes, []
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with self._lock:
            self._said.close()


def adapter(dialer: Dialer, timeout: float) -> BaseHTTPAdapter:
    """What requests sends through the dialer."""
    import urllib3.connection
    import urllib3.connectionpool
    from docker.transport.basehttpadapter import BaseHTTPAdapter

    class Connection(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            self.sock = dialer.dial()
            self.sock.settimeout(timeout)

    class Pool(urllib3.connectionpool.HTTPConnectionPool):
        def _new_conn(self) -> Any:
            return Connection("localhost", timeout=timeout)

    class Adapter(BaseHTTPAdapter):
        def __init__(self) -> None:
            super().__init__()
            self._pool = Pool("localhost", timeout=timeout, maxsize=10)

        def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Pool:
            return self._pool

        def get_connection(self, *_: Any, **__: Any) -> Pool:
            return self._pool

        def request_url(self, request: Any, proxies: Any) -> str:
            return str(request.path_url)  # no proxy on the way

        def close(self) -> None:
            with contextlib.suppress(Exception):
                self._pool.close()
            dialer.close()

    return Adapter()
