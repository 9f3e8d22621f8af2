"""One direction of a proxied connection: bytes that arrive later, slower or never."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from harness.models.shaping import Shaping

CHUNK = 65536
_WINDOW = 4 << 20
"""Bytes under way at most; then the sender has to wait, as it would for a full TCP window."""
_SEGMENT = 1448
"""Bytes of payload in one TCP segment on Ethernet with timestamps (RFC 879, RFC 7323)."""
_RTO = 0.2
"""Seconds, Linux's least retransmission timeout (TCP_RTO_MIN in include/net/tcp.h)."""


class Flow:
    """Reads from one side, and writes to the other when the time has come; order is kept, the end too.

    `gate` is open while packets pass. `counted` is called with the size of what was read, before it is passed on.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        shaping: Shaping,
        *,
        gate: asyncio.Event,
        counted: Callable[[int], Awaitable[None]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._shaping = shaping
        self._gate = gate
        self._counted = counted
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._changed = asyncio.Condition()
        self._departed = 0.0
        self._released = 0.0

    async def run(self) -> None:
        """Until the end of the stream has been passed on."""
        await asyncio.gather(self._read(), self._write())

    async def _read(self) -> None:
        while True:
            data = await self._reader.read(CHUNK)
            if data:
                await self._counted(len(data))
            await self._gate.wait()
            async with self._changed:
                await self._changed.wait_for(lambda: self._held <= _WINDOW)
                self._waiting.append((self._due(len(data)), data))
                self._held += len(data)
                self._changed.notify_all()
            if not data:
                return

    async def _write(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
                due, data = self._waiting.popleft()
            pause = due - asyncio.get_running_loop().time()
            if pause > 0:
                await asyncio.sleep(pause)
            await self._gate.wait()
            if not data:
                with suppress(OSError):  # the other side has closed both ways meanwhile
                    self._writer.write_eof() if self._writer.can_write_eof() else self._writer.close()
                return
            self._writer.write(data)
            await self._writer.drain()
            async with self._changed:
                self._held -= len(data)
                self._changed.notify_all()

    def _due(self, size: int) -> float:
        """When it comes out: after what went before it, the wire's own time, the way, and what loss costs."""
        shaping = self._shaping
        now = asyncio.get_running_loop().time()
        departs = max(now, self._departed)
        if shaping.rate_kbit is not None:
            departs += size * 8 / (shaping.rate_kbit * 1000)
        self._departed = departs
        way = (shaping.rtt_ms + random.uniform(-1, 1) * shaping.jitter_ms) / 2000
        self._released = max(self._released, departs + max(0.0, way) + self._lost(size))
        return self._released

    def _lost(self, size: int) -> float:
        """Seconds: a timeout for each time that some of its segments are lost; one flight's are sent again together."""
        chance = self._shaping.loss_percent / 100
        segments = -(-size // _SEGMENT)
        if chance == 0 or segments == 0:
            return 0.0
        if chance >= 1:
            return 1e9
        late, timeout = 0.0, max(_RTO, 2 * self._shaping.rtt_ms / 1000)
        while segments and late < 60:
            segments = sum(random.random() < chance for _ in range(segments))
            late += timeout if segments else 0.0
            timeout *= 2
        return late
