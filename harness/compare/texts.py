"""What is another one each time in texts: times, process ids, temporary names.

A date is taken for chance only when it is about now: a wrong date that a plan has written is a difference. Clock times
and durations, of which nobody can tell, are chance in what tools say, and never in what files hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_ABOUT_NOW = timedelta(days=2)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True)
class Chance:
    """`means`: whether this match is one; `in_files`: also in what files hold."""

    pattern: re.Pattern[str]
    means: Callable[[re.Match[str]], bool] = lambda match: True
    in_files: bool = True


def _dated(match: re.Match[str]) -> bool:
    """Of named groups `y`, `m` (a number or a name) and `d`; without a year this one is meant."""
    found, today = match.groupdict(), datetime.now(UTC).date()
    month = found["m"]
    number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month) if month.isdigit() else 0
    try:
        day = date(int(found.get("y") or today.year), number, int(found["d"]))
    except ValueError:
        return False
    return abs(day - today) <= _ABOUT_NOW


def _epoch(match: re.Match[str]) -> bool:
    return abs(float(match[0]) - datetime.now(UTC).timestamp()) <= _ABOUT_NOW.total_seconds()


_CLOCK = r"\d\d:\d\d:\d\d([.,]\d+)?"

TIMES = (
    Chance(re.compile(rf"(?P<y>\d{{4}})-(?P<m>\d\d)-(?P<d>\d\d)[T ]{_CLOCK}( ?(Z|UTC|[+-]\d\d:?\d\d))?"), _dated),
    Chance(re.compile(r"\b(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)T\d{6,12}Z?\b"), _dated),
    Chance(re.compile(rf"\w{{3}},? (?P<m>\w{{3}}) +(?P<d>\d+) {_CLOCK}( [AP]M)?( [A-Z]+)?( (?P<y>\d{{4}}))?"), _dated),
    Chance(re.compile(rf"\w{{3}},? (?P<d>\d+) (?P<m>\w{{3}}) (?P<y>\d{{4}}) {_CLOCK}( [AP]M)?( [A-Z]+)?"), _dated),
    Chance(re.compile(r"\b\d{10}(\.\d+)?\b"), _epoch),
    Chance(re.compile(rf"\b{_CLOCK}\b|\b\d:\d\d:\d\d([.,]\d+)?\b"), in_files=False),
    Chance(re.compile(r"\b\d+(\.\d+)? ?(ms|s|sec|seconds)\b|\b\d+m\d+[.,]\d+s\b"), in_files=False),
)
PIDS = (Chance(re.compile(r"(?i:\bpid[ =:]*)\d+|(?<=\w)\[\d+\]")),)
TEMPORARY = (
    Chance(re.compile(r"[~\w/.-]*/\.ansible/tmp/[\w./-]+|\bansible[-_]tmp-[\d.-]+")),
    Chance(re.compile(r"\bharness-\w{10}\b")),  # the folder of a binary that runs
    Chance(re.compile(r"\btmp\.\w{6,10}\b|\btmp[a-z0-9_]{8}\b")),  # mktemp(1), and Python's tempfile
)
ALL = (*TIMES, *PIDS, *TEMPORARY)


def without(text: str, chances: Sequence[Chance], *, in_file: bool = False) -> str:
    """With `<>` in their places."""
    for chance in chances:
        if chance.in_files or not in_file:
            text = chance.pattern.sub(lambda match, means=chance.means: "<>" if means(match) else match[0], text)  # type: ignore[misc]
    return text
