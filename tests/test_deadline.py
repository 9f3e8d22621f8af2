"""The clock that everything waits by, when it stands still."""

from __future__ import annotations

import time

import pytest

from harness.deadline import Deadline


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    at = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    return at


def test_aside_takes_nothing_of_it(now: list[float]) -> None:
    deadline = Deadline(10)
    now[0] += 4
    with deadline.aside(1000):
        now[0] += 500
        assert deadline.remaining() == 6
    assert deadline.remaining() == 6
    now[0] += 6
    assert deadline.expired()


def test_aside_has_a_limit(now: list[float]) -> None:
    deadline = Deadline(10)
    with deadline.aside(100):
        now[0] += 105
        assert deadline.remaining() == 5
    assert deadline.remaining() == 5


def test_two_aside_count_once(now: list[float]) -> None:
    deadline = Deadline(10)
    with deadline.aside(1000):
        now[0] += 2
        with deadline.aside(1):
            now[0] += 3
        now[0] += 4
        assert deadline.remaining() == 10
    assert deadline.remaining() == 10
