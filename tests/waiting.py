"""Waiting for what shall come, whatever the machine's load."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from harness.errors import DeployFailed

T = TypeVar("T")


def wait_for(condition: Callable[[], object], seconds: float = 90.0) -> None:
    """Until it holds; the test fails where that does not come within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= until:
            pytest.fail("it never came to that")
        time.sleep(0.02)


def wait_for_port(port: int) -> None:
    """Until somebody listens there on this machine's loopback."""

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    wait_for(listens)


def left_running(command: str) -> str:
    """Lines for a shell that leave a program running, its pid in `$!`, once it bears its name: a child that has been
    forked is still the shell until exec(2) has happened."""
    name = command.split()[0]
    return (
        f"{command} >/dev/null 2>&1 </dev/null &\n"
        f'while kill -0 $! && [ "$(cat /proc/$!/comm)" != {name} ]; do sleep 0.01; done\n'
    )


def with_time_for(reached: Path, go: Callable[[float], T]) -> T:
    """`go(seconds)` with a deadline before which `reached` is made: a longer one where the machine is busy."""
    for seconds in (1.5, 6.0, 30.0):
        with suppress(DeployFailed):  # it had not even been pushed
            result = go(seconds)
            if reached.exists():
                return result
    pytest.fail(f"{reached} never came")
