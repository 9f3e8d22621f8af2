from __future__ import annotations

import threading
import time

import pytest

from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import CommandTimedOut, DriverFailed, Interrupted
from harness.lifecycle.crew import side_by_side


def test_a_failure_does_not_stop_the_others() -> None:
    def work(name: str) -> str:
        if name == "b":
            raise DriverFailed("no space")
        return name.upper()

    outcome = side_by_side(["a", "b", "c"], work, workers=2, deadline=Deadline(10), cancellation=Cancellation())
    assert outcome.done == {"a": "A", "c": "C"}
    assert str(outcome.failed["b"]) == "no space"


def test_so_many_work_at_once_and_no_more() -> None:
    meeting = threading.Barrier(3, timeout=10)
    counted: list[int] = []
    working = 0
    lock = threading.Lock()

    def work(name: str) -> None:
        nonlocal working
        with lock:
            working += 1
            counted.append(working)
        meeting.wait()
        with lock:
            working -= 1

    outcome = side_by_side(
        [str(n) for n in range(9)], work, workers=3, deadline=Deadline(20), cancellation=Cancellation()
    )
    assert not outcome.failed
    assert max(counted) == 3


def test_what_has_a_clock_of_its_own_is_not_waited_for_in_vain() -> None:
    deadline = Deadline(0.2)

    def work(name: str) -> str:
        with deadline.aside(30):
            time.sleep(0.6)
        return name

    outcome = side_by_side(["a", "b"], work, workers=2, deadline=deadline, cancellation=Cancellation())
    assert sorted(outcome.done) == ["a", "b"]


def test_the_deadline_names_who_was_not_done_and_calls_the_rest_off() -> None:
    stopped = threading.Event()
    cancellation = Cancellation()

    def work(name: str) -> None:
        if name == "slow":
            with cancellation.stopping(stopped.set):
                assert stopped.wait(60)

    with pytest.raises(CommandTimedOut, match=r"not done after 0\.1 s: (quick, )?slow$"):
        side_by_side(["quick", "slow"], work, workers=2, deadline=Deadline(0.1), cancellation=cancellation)
    assert stopped.is_set()


def test_what_is_registered_after_the_call_off_is_stopped_at_once() -> None:
    cancellation = Cancellation()
    cancellation.call()
    stopped = threading.Event()
    with cancellation.stopping(stopped.set):
        assert stopped.is_set()


def test_what_was_called_off_before_it_began_is_told() -> None:
    cancellation = Cancellation()
    cancellation.call()
    outcome = side_by_side(["a", "b"], str.upper, workers=1, deadline=Deadline(10), cancellation=cancellation)
    assert outcome.done == {}
    assert [type(error) for error in outcome.failed.values()] == [Interrupted, Interrupted]
