"""The event loop of all SSH connections."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.connections import ssh_loop


def test_there_is_one_however_many_hosts_are_reached_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    together = threading.Barrier(2)

    class Slow:
        def __init__(self) -> None:
            made.append(self)
            # A second one in the making would come here, too; alone it waits in vain.
            try:
                together.wait(0.2)
            except threading.BrokenBarrierError:
                together.reset()

    monkeypatch.setattr(ssh_loop, "LoopThread", Slow)
    ssh_loop._one.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            loops = list(pool.map(lambda _: ssh_loop.loop_thread(), range(4)))
    finally:
        ssh_loop._one.cache_clear()
    assert len(made) == 1 and len(set(map(id, loops))) == 1
