"""What is read off before and after."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Reading:
    """Seconds; `cpu` of this process's children alone, with theirs, once they have been waited for."""

    process: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One run of one contestant. `outcomes`: by (host, task id) how the task ended; `tasks` how long it took."""

    wall: float
    process: float
    cpu: float
    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    tasks: dict[tuple[str, str], float] = field(default_factory=dict)
    hosts: dict[str, float] = field(default_factory=dict)
    compiling: float = 0.0


@contextmanager
def reading() -> Iterator[Reading]:
    """Filled in when it is left. getrusage(2): what a daemon does after it has left its parent is in nobody's sum."""
    found = Reading()
    started, before = time.monotonic(), _children()
    yield found
    found.process = time.monotonic() - started
    found.cpu = _children() - before


def _children() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
