"""What differs between two looks: at one machine before and after, or at two machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.machine.model import Entry, Machine, Process


@dataclass(frozen=True, order=True)
class Change:
    """`kind`: file, service, unit, package, user, group, process, socket.

    `what` differs: of a file its `mode`, `owner`, `group`, `kind`, `target`, `content` or `existence`; of anything else
    `existence` or `state`. `before` and `after` in words, None where there was nothing.
    """

    kind: str
    name: str
    what: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        where = self.name if self.kind == "file" else f"{self.kind} {self.name}"
        if self.what == "existence":
            return f"{where}: appeared ({self.after})" if self.after is not None else f"{where}: is gone"
        if self.what == "content":
            return f"{where}: content changed ({self.before} -> {self.after})"
        told = f"{self.before or 'was not there'} -> {self.after or 'gone'}"
        return f"{where}: {self.what} {told}" if self.kind == "file" else f"{where}: {told}"


def differences(before: Machine, after: Machine) -> list[Change]:
    """Sorted by kind and name; empty when all that was looked at is the same.

    Times, inodes and sizes of directories do not count: a file written again with the same content is the same. Of
    files without a known sha256 the size is compared. Processes are told apart by pid and start.
    """
    found = list(_files(before.files, after.files))
    for kind, old, new in (
        ("service", before.services, after.services),
        ("unit", before.units, after.units),
        ("package", before.packages, after.packages),
        ("user", before.users, after.users),
        ("group", before.groups, after.groups),
    ):
        found += _named(kind, old, new)
    if before.processes is not None and after.processes is not None:
        found += _processes(before.processes, after.processes)
    if before.sockets is not None and after.sockets is not None:
        found += [Change("socket", str(one), "existence", None, "listening") for one in after.sockets - before.sockets]
        found += [Change("socket", str(one), "existence", "listening", None) for one in before.sockets - after.sockets]
    return sorted(found, key=lambda change: (change.kind, change.name, change.what))


def _files(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> Iterator[Change]:
    for path in old.keys() | new.keys():
        was, now = old.get(path), new.get(path)
        if was == now:
            continue
        if was is None or now is None:
            yield Change("file", path, "existence", str(was) if was else None, str(now) if now else None)
        else:
            yield from _attributes(path, was, now)


def _attributes(path: str, was: Entry, now: Entry) -> Iterator[Change]:
    for what, old, new in was.unlike(now):
        yield Change("file", path, what, old, new)
    if was.kind == now.kind == "file":
        known = was.sha256 is not None and now.sha256 is not None
        if (was.sha256 != now.sha256) if known else (was.size != now.size):
            yield Change("file", path, "content", f"{was.size} bytes", f"{now.size} bytes")


def _named(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in old.keys() | new.keys():
        was, now = old.get(name), new.get(name)
        if was != now:
            yield Change(kind, name, "state", was, now)


def _processes(old: tuple[Process, ...], new: tuple[Process, ...]) -> Iterator[Change]:
    before = {(process.pid, process.started): process for process in old}
    after = {(process.pid, process.started): process for process in new}
    for key in after.keys() - before.keys():
        yield Change("process", str(after[key]), "existence", None, "running")
    for key in before.keys() - after.keys():
        yield Change("process", str(before[key]), "existence", "running", None)
