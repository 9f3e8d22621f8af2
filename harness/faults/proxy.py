"""A small TCP proxy in front of a platform's sshd, for kernels without netem: it delays, limits, loses and cuts.

It works for whatever speaks to the address it listens on: OpenSSH, asyncssh, Ansible.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from harness.errors import HarnessError
from harness.faults.flow import Flow
from harness.models.shaping import Shaping

T = TypeVar("T")
_HOST = "127.0.0.1"
_PATIENCE = 30.0
"""Seconds that a call of ours into the loop may take."""
_KNOCK = 0.5
"""Seconds between two looks at an address that refuses."""
_TURNS = 5
"""Of the loop: what the kernel had accepted in the last moment becomes a connection, and is closed."""
_CLOSING = 1.0
_LINGER = 5.0
"""Seconds that an end that reads no more is given for what is still to be written to it."""


@dataclass(frozen=True)
class Address:
    """Where a front leads: a TCP address, or a shell command whose stdin and stdout are the connection.

    `passes_socket`: with `--fdpass` the command sends the connected socket over its stdout instead, and ends.
    """

    host: str = ""
    port: int = 0
    command: str | None = None
    passes_socket: bool = False


@dataclass
class Traffic:
    """What has passed, in bytes: `up` to the platform. A round trip is a turn from asking to being answered."""

    connections: int = 0
    up: int = 0
    down: int = 0
    round_trips: int = 0


@dataclass(eq=False)
class _Pair:
    """One connection that is being carried."""

    client: asyncio.StreamWriter | None
    upstream: asyncio.StreamWriter | None = None
    process: subprocess.Popen[bytes] | None = None
    asking: bool = False
    up: int = 0


class Front:
    """A listening port in front of one address. Made by `Proxy.front`; its methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, shaping: Shaping) -> None:
        self.port = 0
        self.traffic = Traffic()
        self._loop = loop
        self._address = address
        self._shaping = shaping
        self._gate = asyncio.Event()
        self._gate.set()
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._knocking = asyncio.Lock()
        self._closed = False
        self._tripwire: tuple[int, Callable[[], None]] | None = None

    def lead_to(self, address: Address) -> None:
        """Elsewhere from now on: a platform that was started again may have moved."""
        self._address = address

    def cut(self) -> int:
        """Reset every connection that is open; how many there were."""
        return _call(self._loop, self._cut_all())

    def block(self, blocked: bool) -> None:
        """Let nothing pass any more, in either direction: connections stay open and hear nothing."""
        _call(self._loop, self._set_blocked(blocked))

    def after(self, more: int, action: Callable[[], None]) -> None:
        """Call `action` once, in a thread of its own, when `more` bytes have gone up from now on. What comes after
        those waits until it has returned: whatever is done to the platform is done mid-way."""
        self._tripwire = (self.traffic.up + more, action)

    def knock(self) -> None:
        """Look at once whether somebody listens there again."""
        _call(self._loop, self._listen_again())

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accepted, _HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        """Nobody listens there: nobody shall seem to listen here, until it is otherwise."""
        if self._server is None or self._closed:
            return
        self._server.close()
        self._server = None
        while not self._closed and not await self._listen_again():
            await asyncio.sleep(_KNOCK)

    async def _listen_again(self) -> bool:
        async with self._knocking:
            if self._server is not None or self._closed:
                return True
            probe = _Pair(None)
            try:
                _, probe.upstream = await self._dial(probe)
            except OSError:
                return False
            finally:
                await _end(probe)
            await self.open()
            return True

    async def close(self) -> None:
        self._closed = True
        if self._server is not None:
            self._server.close()
        await self._cut_all()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSING)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Its task is known from the very beginning to the very end: what closes waits for it."""
        if self._closed:
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer)
        self._pairs.add(pair)
        self.traffic.connections += 1
        try:
            await self._gate.wait()
            # What connect(2) would have taken: the kernel here has answered at once.
            await asyncio.sleep(self._shaping.rtt_ms / 1000)
            await self._carry(pair, reader)
        except (OSError, asyncio.CancelledError):
            pass  # whoever is at the other end sees it by its connection
        finally:
            self._pairs.discard(pair)
            await _end(pair)

    async def _carry(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        assert pair.client is not None
        try:
            answers, pair.upstream = await self._dial(pair)
        except OSError:
            await _reset(pair)
            await self._refuse()
            return
        up = Flow(reader, pair.upstream, self._shaping, gate=self._gate, counted=lambda size: self._up(pair, size))
        down = Flow(answers, pair.client, self._shaping, gate=self._gate, counted=lambda size: self._down(pair, size))
        flows = [asyncio.create_task(up.run()), asyncio.create_task(down.run())]
        try:
            await asyncio.gather(*flows)
        finally:
            for flow in flows:
                flow.cancel()
            await asyncio.gather(*flows, return_exceptions=True)

    async def _dial(self, pair: _Pair) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.command is None:
            return await asyncio.open_connection(self._address.host, self._address.port)
        ours, theirs = socket.socketpair()
        command = f"exec {self._address.command}{' --fdpass' if self._address.passes_socket else ''}"
        with theirs:
            # Not asyncio's: its watcher tells the user of each child that is killed while it ends by itself.
            pair.process = subprocess.Popen(
                command,
                shell=True,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        if self._address.passes_socket:
            with ours:
                ours = await asyncio.to_thread(_received, ours)
        return await asyncio.open_connection(sock=ours)

    async def _up(self, pair: _Pair, size: int) -> None:
        pair.asking = True
        pair.up += size
        self.traffic.up += size
        if self._tripwire is not None and self.traffic.up >= self._tripwire[0]:
            action, self._tripwire = self._tripwire[1], None
            await asyncio.to_thread(action)
        limit = self._shaping.cut_after_kb
        if limit is not None and pair.up >= limit * 1000:
            await _reset(pair)

    async def _down(self, pair: _Pair, size: int) -> None:
        self.traffic.down += size
        if pair.asking:
            self.traffic.round_trips += 1
            pair.asking = False

    async def _cut_all(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            await _reset(pair)
        return len(pairs)

    async def _set_blocked(self, blocked: bool) -> None:
        self._gate.clear() if blocked else self._gate.set()


def _received(passage: socket.socket) -> socket.socket:
    if sys.platform == "win32":
        raise ConnectionRefusedError("sockets are not passed on this system")
    _, descriptors, _, _ = socket.recv_fds(passage, 1, 1)
    if not descriptors:
        raise ConnectionRefusedError("nobody listens there")
    return socket.socket(fileno=descriptors[0])


async def _reset(pair: _Pair) -> None:
    """A TCP reset to both (socket(7), SO_LINGER with a time of 0), as when a router has forgotten the connection."""
    for writer in (pair.client, pair.upstream):
        if writer is not None:
            sock = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


async def _end(pair: _Pair) -> None:
    writers = [writer for writer in (pair.client, pair.upstream) if writer is not None]
    for writer in writers:
        writer.close()
    for writer in writers:
        try:
            await asyncio.wait_for(writer.wait_closed(), _LINGER)
        except (OSError, TimeoutError, asyncio.CancelledError):  # called off while it closes: at once, then
            writer.transport.abort()
    if pair.process is not None and pair.process.poll() is None:
        with suppress(PermissionError):
            pair.process.kill()  # the command itself: its shell has given way to it
        await asyncio.to_thread(pair.process.wait)


@dataclass
class Proxy:
    """The loop that carries all fronts of a run, in one thread. Use it as a context manager."""

    _fronts: list[Front] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def front(self, address: Address, shaping: Shaping | None = None) -> Front:
        """A new port of this machine's loopback that leads to `address`. Raises HarnessError where none can be had."""
        loop = self._running()
        front = _call(loop, self._open(loop, address, shaping or Shaping()))
        self._fronts.append(front)
        return front

    async def _open(self, loop: asyncio.AbstractEventLoop, address: Address, shaping: Shaping) -> Front:
        front = Front(loop, address, shaping)
        await front.open()
        return front

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="harness-proxy", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Every front and connection; a second call does nothing."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        fronts, self._fronts = self._fronts, []
        for front in fronts:
            with suppress(HarnessError):
                _call(loop, front.close())
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(_PATIENCE)
        if not loop.is_running():
            loop.run_until_complete(_end_tasks())  # among them asyncio's own, of connections that are just coming in
            loop.run_until_complete(asyncio.sleep(0))  # what was aborted is closed in the loop's next round
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _call(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result(_PATIENCE)
    except (OSError, TimeoutError) as error:
        raise HarnessError(f"the proxy in front of a platform failed: {error or 'it did not answer'}") from error
