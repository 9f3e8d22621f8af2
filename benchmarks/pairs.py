"""Two things timed in turn, A B A B ..., so that their ratio holds when the machine's speed drifts."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Medians in seconds; `ratio` is the median of the pairs' ratios ours / beside."""

    name: str
    ours: float
    spread: tuple[float, float]
    beside_name: str
    beside: float
    ratio: float
    goal: str


def compare(
    name: str,
    ours: Callable[[], object],
    beside_name: str,
    beside: Callable[[], object],
    *,
    rounds: int = 11,
    goal: str = "",
    per_call: int = 1,
) -> Row:
    """One warm-up of each, then `rounds` pairs. A call that does its thing `per_call` times counts for one of them."""
    ours()
    beside()
    pairs = [(_timed(ours) / per_call, _timed(beside) / per_call) for _ in range(rounds)]
    first = [pair[0] for pair in pairs]
    return Row(
        name,
        statistics.median(first),
        (min(first), max(first)),
        beside_name,
        statistics.median(pair[1] for pair in pairs),
        statistics.median(a / b for a, b in pairs),
        goal,
    )


def command(argv: Sequence[str], **options: object) -> Callable[[], object]:
    """A call that runs `argv` to its end and fails loudly when it fails."""

    def run() -> object:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    return run


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = [
        "| what | median | min - max | goal | beside it | its median | ratio |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {row.name} | {_told(row.ours)} | {_told(row.spread[0])} - {_told(row.spread[1])} | {row.goal} "
            f"| {row.beside_name} | {_told(row.beside)} | {row.ratio:.2f} |"
            for row in rows
        ),
    ]
    return "\n".join(lines)


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _told(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
