"""Two machines after the plan, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.compare import texts
from harness.lifecycle.observed import Observed
from harness.machine import Change, Process, differences
from harness.models.compare import Difference, Kind

_KINDS: dict[str, tuple[Kind, str | None]] = {
    "file": ("file", None),
    "service": ("service", "activity"),
    "unit": ("service", "enabled"),
    "package": ("package", "version"),
    "user": ("user", "entry"),
    "group": ("group", "entry"),
    "socket": ("port", "listening"),
}
"""What a change of each kind is called in a comparison, and its field where the change has none of its own."""


def machine_differences(host: str, first: Observed, second: Observed) -> Iterator[Difference]:
    """In files, services, packages, users, groups, listening ports, and in the processes that the run left: these go by
    their command lines, without what is another one each time."""
    for change in differences(first.after, second.after):
        if change.kind in _KINDS:
            yield _difference(host, change, first, second)
    here, there = _processes(first), _processes(second)
    for name in sorted(here.keys() | there.keys()):
        one, other = (_count(side[name]) for side in (here, there))
        if one != other:
            yield Difference(host=host, kind="process", name=name, field="running", first=one, second=other)


def _difference(host: str, change: Change, first: Observed, second: Observed) -> Difference:
    kind, field = _KINDS[change.kind]
    was, now = change.before, change.after
    if change.what == "content":
        was, now = _content(change.name, first, second)
    return Difference(host=host, kind=kind, name=change.name, field=field or change.what, first=was, second=now)


def _content(path: str, first: Observed, second: Observed) -> tuple[str, str]:
    """Of small files of text all, of others what tells them apart."""
    if path in first.texts and path in second.texts:
        return first.texts[path], second.texts[path]
    one, other = (
        f"{entry.size} bytes, sha256 {entry.sha256}" for entry in (first.after.files[path], second.after.files[path])
    )
    return one, other


def has_changed(observed: Observed, kind: Kind, name: str) -> bool:
    """Whether the run has done something to a thing on its machine."""
    before, after = observed.before, observed.after
    if kind == "file":
        return name in observed.touched
    if kind == "port":
        return (name in map(str, before.sockets or ())) != (name in map(str, after.sockets or ()))
    places = {
        "service": ("services", "units"),
        "package": ("packages",),
        "user": ("users",),
        "group": ("groups",),
    }.get(kind)
    if places is None:
        return True
    return any(getattr(before, place).get(name) != getattr(after, place).get(name) for place in places)


def unknown(first: Observed, second: Observed) -> set[str]:
    """Paths that the second run has touched, and of which it is not known what the first has there."""
    return {path for path in second.touched if not first.knows(path)}


def _processes(observed: Observed) -> Counter[str]:
    """Those that were not there before the run, by their command lines."""
    before = {(one.pid, one.started) for one in observed.before.processes or ()}
    return Counter(_name(one) for one in observed.after.processes or () if (one.pid, one.started) not in before)


def _name(process: Process) -> str:
    return texts.without(process.command_line, texts.ALL) or f"[{process.name}]"


def _count(number: int) -> str | None:
    return str(number) if number else None
