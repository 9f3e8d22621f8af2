"""Calls of a daemon, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

_WORKERS = 8


def side_by_side(actions: Sequence[Callable[[], object]]) -> None:
    """Do all of them, whatever becomes of the others; then raises what the first that failed has raised.

    Also one alone has a thread of its own: Ctrl-C calls off what has not begun and waits for what has, so that whoever
    cleans up afterwards finds all that was made.
    """
    begin, called_off = threading.Event(), threading.Event()

    def perform(action: Callable[[], object]) -> None:
        begin.wait()  # a pool that is interrupted while it starts a thread would not wait for it
        if not called_off.is_set():
            action()

    with ThreadPoolExecutor(_WORKERS, "daemon-call") as pool:
        try:
            futures = [pool.submit(perform, action) for action in actions]
            begin.set()
            wait(futures)
        except BaseException:
            called_off.set()
            begin.set()
            raise
    for future in futures:
        future.result()
