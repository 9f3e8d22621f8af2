"""One event loop, in a thread of its own, for the SSH connections to all hosts."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Threads that wait call in; nothing here ever waits for them."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
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


@functools.cache
def loop_thread() -> LoopThread:
    """The one of this process; it ends with it."""
    return LoopThread()
