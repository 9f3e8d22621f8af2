"""Calls of a daemon side by side: nobody's failure stops the others, and Ctrl-C leaves none of them at work."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback

import pytest

from harness.drivers.parallel import side_by_side


def test_all_are_done_and_the_first_failure_is_told() -> None:
    done: list[int] = []

    def fail(words: str) -> None:
        raise ValueError(words)

    with pytest.raises(ValueError, match="first"):
        side_by_side([lambda: fail("first"), lambda: done.append(1), lambda: fail("second"), lambda: done.append(2)])
    assert sorted(done) == [1, 2]
    side_by_side([])


@pytest.mark.parametrize("others", [0, 40])
def test_an_interrupt_waits_for_what_has_begun_and_calls_off_the_rest(others: int) -> None:
    ended: list[int] = []
    interrupted, go_on = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(30)
        ended.append(threading.get_ident())

    def interrupt() -> None:
        while not interrupted.wait(0.05):  # one that comes just before the main thread sleeps does not wake it
            os.kill(os.getpid(), signal.SIGINT)
        while not go_on.wait(0.01) and not any(frame.name == "shutdown" for frame in stack_of_main()):
            pass
        go_on.set()
        work()

    def raised(number: int, frame: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, raised)
    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side([interrupt, *[work] * others])
        assert len(ended) == min(8, others + 1)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("daemon-call")]
    finally:
        signal.signal(signal.SIGINT, before)
        go_on.set()


def stack_of_main() -> traceback.StackSummary:
    return traceback.extract_stack(sys._current_frames()[threading.main_thread().ident or 0])
