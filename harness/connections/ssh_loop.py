"""One event loop, in a thread of its own, for the SSH connections to all hosts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from harness.connections.ssh_library import asyncssh

T = TypeVar("T")
_HEARD = 200
"""Bytes of what is heard first that are remembered: what is no sshd says so there."""


class _Acknowledging(asyncio.Protocol):
    """What comes is acknowledged at once, and then handed on.

    Until a session runs, sshd leaves Nagle's algorithm on: a small message waits until the one before it has been
    acknowledged, which Linux puts off by 40 ms, twice in every handshake (tcp(7), TCP_QUICKACK).
    """

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self._socket: Any = None
        self._has_heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport.get_extra_info("socket")
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._has_heard and isinstance(self._inner, asyncssh.SSHClientConnection):
            self._inner.set_extra_info(heard=data[:_HEARD])
        self._has_heard = True
        self._inner.data_received(data)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # it has been closed, or is a socket of another family
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class _Loop(asyncio.SelectorEventLoop):
    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *args: Any, **options: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        inner = protocol_factory()
        transport, _ = await super().create_connection(lambda: _Acknowledging(inner), *args, **options)
        return transport, inner


class LoopThread:
    """Threads that wait call in; nothing here ever waits for them."""

    def __init__(self) -> None:
        self.loop = _Loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="ssh", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Its result, waited for in the calling thread. Raises TimeoutError; Ctrl-C cancels the work."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        except CancelledError as error:
            raise TimeoutError("it was cancelled") from error
        except BaseException:
            future.cancel()
            raise

    def soon(self, callback: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(callback)


_making = threading.Lock()


def loop_thread() -> LoopThread:
    """The one of this process; it ends with it."""
    with _making:  # the hosts are reached side by side, and a cache alone lets each of the first make one
        return _one()


@functools.cache
def _one() -> LoopThread:
    return LoopThread()
