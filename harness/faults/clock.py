"""A clock that is wrong. Containers and sandboxes have their host's; only a machine with its own can be set."""

from __future__ import annotations

from decimal import Decimal

from harness.faults.target import Target, Undo
from harness.models.fault import Fault

_LOOK = """
read -r boot </proc/sys/kernel/random/boot_id && read -r up _ </proc/uptime && echo "$boot $up $(date +%s.%N)"
"""
# By its uptime, which nobody sets: however long the way to the machine, its time is right to a hundredth of a second.
# One that has booted since has got its time from its hardware. busybox's date knows no fractions.
_SET = """
read -r boot </proc/sys/kernel/random/boot_id && [ "$boot" = {boot} ] || exit 0
read -r up _ </proc/uptime
now=$(({begun} + ${{up%.*}}${{up#*.}}))
date -u -s "$(printf '@%d.%02d' "$((now / 100))" "$((now % 100))")" >/dev/null 2>&1 ||
    date -u -s "@$((now / 100))" >/dev/null
"""


def skew(target: Target, fault: Fault) -> Undo:
    """`offset_seconds` ahead, or behind where it is negative. It is set back to what it would show by then without us:
    its own time, which need not be ours."""
    boot, up, now = target.do(fault, _LOOK).split()
    begun = round((Decimal(now.removesuffix(".%N")) - Decimal(up)) * 100)

    def put(offset: float) -> None:
        target.do(fault, _SET.format(boot=boot, begun=begun + round(offset * 100)))

    put(fault.offset_seconds)
    return lambda: put(0.0)
