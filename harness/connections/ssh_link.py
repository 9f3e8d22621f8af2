# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""The one SSH connection to a host, made when it is first needed and made anew after it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

assert sys.platform != "win32"

from harness.connections.patience import Patience
from harness.connections.ssh_credentials import credentials
from harness.connections.ssh_known_hosts import algorithms, known, learn
from harness.connections.ssh_library import asyncssh
from harness.connections.ssh_loop import loop_thread
from harness.connections.ssh_proxy import Proxy
from harness.connections.ssh_stream import SessionStream
from harness.connections.ssh_target import CONNECT_SECONDS, Target, route
from harness.connections.ssh_words import Attempt, explained, place
from harness.errors import TransportFailed, Unreachable
from harness.models.endpoint import Ssh

_TURNED_AWAY_SECONDS = 20.0
"""For how long a host that closes connections before its banner is asked again."""
_CROWD_SECONDS, _MOVING_SECONDS = 90.0, 10.0
"""For how long at most while others get through; and what counts as getting through."""
_AT_ONCE, _AT_LEAST = 24, 4
_KEEPALIVE = 10


_CLOSE_SECONDS = 3.0


async def _close(listener: asyncssh.SSHListener) -> None:
    listener.close()
    await listener.wait_closed()


class Gate:
    """How many handshakes there may be at one time: fewer after a host has turned one away (sshd_config(5),
    MaxStartups: more than ten at once are turned away at random), more again after some that went well."""

    def __init__(self) -> None:
        self._limit = float(_AT_ONCE)
        self._inside = 0
        self._last_success = 0.0
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._inside < self._limit)
            self._inside += 1

    async def __aexit__(self, *_: object) -> None:
        async with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    @property
    def is_moving(self) -> bool:
        """Whether others still get through: then there is a crowd, and it grows less."""
        return time.monotonic() - self._last_success < _MOVING_SECONDS

    def went_well(self) -> None:
        self._last_success = time.monotonic()
        self._limit = min(_AT_ONCE, self._limit + 0.2)

    def was_turned_away(self) -> None:
        self._limit = max(_AT_LEAST, self._limit * 0.7)


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, Gate] = WeakKeyDictionary()


class Link:
    def __init__(self, endpoint: Ssh, label: str) -> None:
        self.endpoint = endpoint
        self.label = label
        self._thread = loop_thread()
        self._lock = threading.Lock()
        self._attempt: Attempt | None = None
        self._proxy: Proxy | None = None
        self._environment: Mapping[str, str] = {}
        self.patience = Patience(CONNECT_SECONDS)

    def session(self, command: str, *, pty: bool = False, size: tuple[int, int] | None = None) -> SessionStream:
        """`command` is for the user's login shell there, whichever it is. Raises TransportFailed."""
        connection = self.connection()
        stream = SessionStream(self._thread, wakes=pty)
        try:
            self._thread.call(self._open(connection, stream, command, pty=pty, size=size), self.patience.seconds)
        except asyncssh.ChannelOpenError as error:
            stream.close()
            raise self._no_session(error) from error
        except (asyncssh.Error, OSError) as error:
            stream.close()
            words = "it does not answer" if isinstance(error, TimeoutError) else str(error)
            raise Unreachable(f"{self.label}: {self.gone() or f'no session could be opened: {words}'}") from error
        except BaseException:
            stream.close()
            raise
        return stream

    def connection(self) -> asyncssh.SSHClientConnection:
        """Open. Raises TransportFailed."""
        with self._lock:
            attempt = self._attempt
            if attempt is None or attempt.lost is not None:
                self._end_proxy()
                self._attempt = attempt = self._thread.call(self._connect(self._route(), self.patience.seconds))
            assert attempt.connection is not None
            return attempt.connection

    @property
    def is_open(self) -> bool:
        """As far as anybody has noticed."""
        return self._attempt is not None and self._attempt.lost is None

    def gone(self) -> str | None:
        """Why the connection that was there broke, in words."""
        attempt = self._attempt
        if attempt is None or attempt.lost is None:
            return None
        return f"the connection to {place(self.endpoint)} broke: {attempt.lost}"

    @contextlib.contextmanager
    def forward(self, port: int, path: str) -> Iterator[bool]:
        """While inside, that port of the host's loopback leads to a socket file here; False where sshd refuses.
        Raises TransportFailed."""
        connection = self.connection()

        async def ask() -> asyncssh.SSHListener:
            return await connection.forward_remote_port_to_path("127.0.0.1", port, path)

        try:
            listener = self._thread.call(ask(), self.patience.seconds)
        except asyncssh.ChannelListenError:
            yield False
            return
        except (asyncssh.Error, OSError) as error:
            raise TransportFailed(f"{self.label}: no port could be forwarded: {self.gone() or error}") from error
        try:
            yield True
        finally:
            with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
                self._thread.call(_close(listener), _CLOSE_SECONDS)

    def close(self) -> None:
        with self._lock:
            attempt, self._attempt = self._attempt, None
            if attempt is not None and attempt.connection is not None:
                with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
                    self._thread.call(self._disconnect(attempt.connection), 3)
            self._end_proxy()

    @staticmethod
    async def _disconnect(connection: asyncssh.SSHClientConnection) -> None:
        connection.close()
        try:
            await asyncio.wait_for(connection.wait_closed(), 1)
        except TimeoutError:
            connection.abort()

    def _route(self) -> tuple[Target, ...]:
        """Raises TransportFailed."""
        try:
            return route(self.endpoint)
        except TransportFailed as error:
            raise TransportFailed(f"{self.label}: {error.message}", hint=error.hint) from error

    async def _open(
        self,
        connection: asyncssh.SSHClientConnection,
        stream: SessionStream,
        command: str,
        *,
        pty: bool,
        size: tuple[int, int] | None,
    ) -> None:
        await connection.create_session(
            lambda: stream,
            command,
            encoding=None,
            env=[f"{name}={value}" for name, value in self._environment.items()],
            send_env=[],
            request_pty="force" if pty else False,
            term_type=os.environ.get("TERM", "xterm") if pty else None,
            term_size=size,
            x11_forwarding=False,
        )

    def _no_session(self, error: asyncssh.ChannelOpenError) -> TransportFailed:
        if "connection closed" in error.reason.lower():
            return TransportFailed(
                f"{self.label}: {place(self.endpoint)} ended the connection when a command was to run",
                hint="may this account run commands (PermitRootLogin, ForceCommand, its shell)? sshd's log tells more",
            )
        if error.code in (asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, asyncssh.OPEN_CONNECT_FAILED):
            return TransportFailed(
                f"{self.label}: {place(self.endpoint)} opens no further session: {error.reason}",
                hint="MaxSessions in its sshd_config is reached; the harness needs up to 10 beside one another",
            )
        return TransportFailed(
            f"{self.label}: {place(self.endpoint)} does not let commands run: {error.reason}",
            hint="the account must be allowed to run commands (no ForceCommand, no sftp-only account)",
        )

    async def _connect(self, way: tuple[Target, ...], patience: float) -> Attempt:
        """Over each jump host in turn. Raises TransportFailed. A host that turns connections away is asked again for a
        while."""
        loop = asyncio.get_running_loop()
        gate = _gates.get(loop) or _gates.setdefault(loop, Gate())
        seconds = min(patience, sum(target.connect_seconds for target in way))
        until: float | None = None
        pause = 0.1
        crowd = time.monotonic() + min(_CROWD_SECONDS, 3 * seconds)
        while True:
            attempts: list[Attempt] = []
            try:
                async with gate:
                    await asyncio.wait_for(self._handshakes(way, attempts), seconds)
                gate.went_well()
                return attempts[-1]
            except (Exception, asyncio.CancelledError) as error:
                proxy, self._proxy = self._proxy, None
                said, has_failed = proxy.last_words() if proxy is not None else ("", False)
                _abandon(attempts)
                if isinstance(error, asyncio.CancelledError):
                    raise
                attempt = attempts[-1] if attempts else Attempt(way[0])
                until = until or time.monotonic() + min(_TURNED_AWAY_SECONDS, seconds)
                late = time.monotonic() + pause
                if has_failed or not _turned_away(error, attempt) or late > (crowd if gate.is_moving else until):
                    raise explained(self.label, error, attempt, seconds, said) from error
                gate.was_turned_away()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 1.7, 2.0)

    async def _handshakes(self, way: tuple[Target, ...], attempts: list[Attempt]) -> None:
        before: asyncssh.SSHClientConnection | None = None
        for target in way:
            attempts.append(Attempt(target))
            connection = await self._handshake(attempts[-1], before)
            if before is not None:
                connection.set_tunnel(before)  # it is closed with it
            before = connection
        self._environment = way[-1].environment

    async def _handshake(
        self, attempt: Attempt, before: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        target = attempt.target
        attempt.known = known(target)
        async with contextlib.AsyncExitStack() as stack:
            options = self._options(attempt) | await credentials(attempt, stack)
            if before is not None:
                options["tunnel"] = before
            elif target.proxy_command is not None:
                loop = asyncio.get_running_loop()
                options["sock"] = await loop.run_in_executor(None, self._proxied, target)
            connection = await asyncssh.connect(target.host, **options)
        if attempt.learned is not None:
            learn(target, attempt.learned)
        return connection

    def _proxied(self, target: Target) -> socket.socket:
        """Raises OSError, TransportFailed."""
        sandbox, port = self.endpoint.sandbox, self.endpoint.port
        if sys.platform == "linux" and sandbox is not None and port is not None:
            from harness.sandbox import relay

            with contextlib.suppress(OSError):  # the command says what is wrong
                return relay.connect(sandbox.pid, sandbox.start_time, port)
        assert target.proxy_command is not None
        self._proxy = Proxy(target.proxy_command, passes_socket=target.proxy_passes_socket)
        return self._proxy.socket

    def _end_proxy(self) -> None:
        proxy, self._proxy = self._proxy, None
        if proxy is not None:
            proxy.close()

    def _options(self, attempt: Attempt) -> dict[str, Any]:
        """For asyncssh, which is to read no config itself."""
        target = attempt.target
        assert attempt.known is not None
        options: dict[str, Any] = {
            "client_factory": lambda: attempt,
            "connect_timeout": target.connect_seconds,
            "login_timeout": CONNECT_SECONDS,
            "keepalive_interval": _KEEPALIVE,
            "config": None,
            "known_hosts": lambda host, addr, port: (
                attempt.known.keys, attempt.known.authorities, attempt.known.revoked
            ),
            "host_key_alias": target.key_alias,
            "port": target.port,
            "username": target.user,
            "x509_trusted_certs": None,
        }  # fmt: skip
        if target.algorithms:
            options |= algorithms(target, attempt.known)
        elif not self.endpoint.use_config:
            # The cheapest that every sshd of the last ten years has: a handshake is most of a short run.
            options |= {"kex_algs": "^curve25519-sha256", "encryption_algs": "^aes128-gcm@openssh.com"}
        return {**options, **target.options}


def _abandon(attempts: list[Attempt]) -> None:
    """The jump hosts that were reached on the way to one that was not."""
    for attempt in attempts:
        if attempt.connection is not None:
            attempt.connection.abort()


def _turned_away(error: BaseException, attempt: Attempt) -> bool:
    """As sshd does when too many are at its door, and never when nobody listens there."""
    if attempt.connection is None or attempt.greeted or attempt.stranger is not None:
        return False
    return isinstance(error, (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError))
