"""What two runs told of their tasks, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from harness.models.compare import Difference, TaskTimes
from harness.models.runner import TaskRecord

_FIELDS = ("status", "rc", "stdout", "stderr", "msg")
_TOLD_ELSEWHERE = frozenset(
    {*_FIELDS, "changed", "failed", "skipped", "stdout_lines", "stderr_lines", "start", "end", "delta"}
)
"""Return values that say again what is compared by itself, or when the task ran."""

Key = tuple[str, int]
"""A task's id, and which time it is: a handler may run more than once."""


def task_differences(host: str, first: Sequence[TaskRecord], second: Sequence[TaskRecord]) -> Iterator[Difference]:
    """Task by task in the order of the first, and where the order is another one."""
    one, other = _by_key(first), _by_key(second)
    for key in dict.fromkeys([*one, *other]):
        for field, was, is_ in _fields(one.get(key), other.get(key)):
            if was != is_:
                yield Difference(host=host, kind="task", name=_name(key), field=field, first=was, second=is_)
    here, there = ([key for key in side if key in one and key in other] for side in (one, other))
    moved = next(((key, instead) for key, instead in zip(here, there, strict=True) if key != instead), None)
    if moved is not None:
        yield Difference(
            host=host,
            kind="run",
            name="order",
            field="order",
            first=", ".join(map(_name, here)),
            second=", ".join(map(_name, there)),
        )


def task_times(host: str, first: Sequence[TaskRecord], second: Sequence[TaskRecord]) -> list[TaskTimes]:
    one, other = _by_key(first), _by_key(second)
    return [
        TaskTimes(
            host=host,
            task_id=_name(key),
            first=one[key].duration if key in one else None,
            second=other[key].duration if key in other else None,
        )
        for key in dict.fromkeys([*one, *other])
    ]


def _by_key(records: Sequence[TaskRecord]) -> dict[Key, TaskRecord]:
    """In the order in which they ended."""
    seen: Counter[str] = Counter()
    found: dict[Key, TaskRecord] = {}
    for record in records:
        seen[record.task_id] += 1
        found[record.task_id, seen[record.task_id]] = record
    return found


def _name(key: Key) -> str:
    task_id, time = key
    return task_id if time == 1 else f"{task_id} #{time}"


def _fields(first: TaskRecord | None, second: TaskRecord | None) -> Iterator[tuple[str, str | None, str | None]]:
    """What is compared of a task: its name and both values. Return values only where both sides tell them."""
    if first is None or second is None:
        yield "status", _value(first, "status"), _value(second, "status")
        return
    for field in _FIELDS:
        yield field, _value(first, field), _value(second, field)
    one, other = (dict(_leaves(record.result, "result")) for record in (first, second))
    for name in sorted(one.keys() & other.keys()):
        yield name, one[name], other[name]


def _leaves(value: object, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if at != "result" or key not in _TOLD_ELSEWHERE:
                yield from _leaves(inner, f"{at}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{at}[{number}]")
    else:
        yield at, str(value)


def _value(record: TaskRecord | None, field: str) -> str | None:
    if record is None:
        return None
    if field == "status":
        return f"{record.status}, ignored" if record.ignored else record.status
    value = getattr(record, field)
    return None if value is None or value == "" else str(value)
