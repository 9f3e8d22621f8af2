"""A clock that is wrong. Containers and sandboxes have their host's; only a machine with its own can be set."""

from __future__ import annotations

import time

from harness.faults.target import Target, Undo
from harness.models.fault import Fault


def skew(target: Target, fault: Fault) -> Undo:
    """`offset_seconds` ahead, or behind where it is negative."""
    before, steady = int(target.do(fault, "date +%s")), time.monotonic()
    target.do(fault, f"date -u -s @{before + round(fault.offset_seconds)}")

    def undo() -> None:
        target.do(fault, f"date -u -s @{before + round(time.monotonic() - steady)}")

    return undo
