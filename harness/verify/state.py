"""The state that a second run must not change: watched files, accounts, services, units and packages.

`take_state` before and after, `differences` tells the drift in words. Times and inode numbers are left out: a file
written again with the same content has not drifted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field

from harness.connections.base import Connection
from harness.errors import TransportFailed
from harness.models.plan import Plan
from harness.models.results import HostExecutionResult
from harness.verify.derive import watched
from harness.verify.probe import TIMEOUT, look
from harness.verify.seen import Seen, Wanted

ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")
"""Always watched: the databases behind users and groups."""

_SUMS = r"""
export LC_ALL=C
if command -v sha256sum >/dev/null; then sum() { sha256sum -- "$@"; }; else sum() { shasum -a 256 -- "$@"; }; fi
set --
while IFS= read -r path; do
  [ ! -f "$path" ] || set -- "$@" "$path"
  if [ $# -ge 100 ]; then sum "$@" 2>/dev/null; set --; fi
done
[ $# -eq 0 ] || sum "$@" 2>/dev/null
exit 0
"""
"""Many files a process. One that cannot be read has no line."""

_UNITS = "if [ -d /run/systemd/system ]; then systemctl list-unit-files --no-legend --no-pager --full; fi"

_PACKAGES = r"""
if command -v dpkg-query >/dev/null; then
  dpkg-query -W -f '${Package}:${Architecture} ${Version} ${db:Status-Status}\n'
elif rpm --version >/dev/null 2>&1; then rpm -qa --qf '%{NAME}.%{ARCH} %{VERSION}-%{RELEASE} installed\n'
elif command -v apk >/dev/null; then apk info -v | sed 's/$/ installed/'
fi"""
"""`rpm --version` and not its mere presence: busybox has an applet of that name, without a database."""


@dataclass(frozen=True, slots=True)
class FileState:
    """`kind` in words; `target` where it is a link; `sha256` of a regular file (links followed)."""

    kind: str
    mode: str
    owner: str
    group: str
    size: int
    target: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """`files`: None where there is nothing. `services`: what a watched service is doing. `units`: every unit file and
    whether it is enabled. `packages`: version and status by name."""

    files: dict[str, FileState | None] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Equal exactly when nothing has drifted."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def take_state(
    connection: Connection, plan: Plan | None, host: str, result: HostExecutionResult | None = None
) -> State:
    """`capture` of what the plan's tasks for `host` name, and of what `result`, where known, says they made."""
    paths, services = watched(plan, host, result)
    return capture(connection, paths, services)


def capture(connection: Connection, paths: Collection[str], services: Collection[str] = ()) -> State:
    """Look at `paths` (absolute) and `services`, and at all units, packages and accounts.

    Raises TransportFailed, CommandTimedOut."""
    watched = sorted({*paths, *ACCOUNTS})
    # A name with a newline cannot travel line by line; its attributes are compared all the same.
    summed = [path for path in watched if "\n" not in path]
    seen = look(connection, Wanted(paths=set(watched), links=set(watched), services=set(services)))
    listing = "\n".join([*summed, ""]).encode(errors="surrogateescape")
    sums = dict(_sums(_run(connection, _SUMS, listing)))
    return State(
        files={path: _file(seen, path, sums.get(path)) for path in watched},
        services={name: seen.service(name).detail for name in sorted(services)},
        units=dict(_pairs(_run(connection, _UNITS))),
        packages=dict(_pairs(_run(connection, _PACKAGES))),
    )


def differences(before: State, after: State) -> list[str]:
    """Every drift on a line of its own, sorted by kind and name; empty when the states are equal."""
    drift = [
        f"{path}: {words}"
        for path in sorted({*before.files, *after.files})
        for words in _file_drift(before.files.get(path), after.files.get(path))
    ]
    for kind, old, new in (
        ("service", before.services, after.services),
        ("unit", before.units, after.units),
        ("package", before.packages, after.packages),
    ):
        for name in sorted({*old, *new}):
            was, now = old.get(name), new.get(name)
            if was != now:
                drift.append(f"{kind} {name}: {was or 'was not there'} -> {now or 'gone'}")
    return drift


def _file(seen: Seen, path: str, sha256: str | None) -> FileState | None:
    entry = seen.path(path).itself
    if entry is None:
        return None
    return FileState(
        kind=entry.kind,
        mode=entry.octal,
        owner=entry.user,
        group=entry.group,
        # The size of a directory is the file system's own affair.
        size=entry.size if entry.kind == "file" else 0,
        target=seen.links.get(path),
        sha256=sha256,
    )


def _file_drift(before: FileState | None, after: FileState | None) -> Iterator[str]:
    if before is None or after is None:
        if before is not after:
            yield f"appeared ({after.kind}, mode {after.mode})" if after else "is gone"
        return
    for name in ("kind", "mode", "owner", "group", "target"):
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            yield f"{name} {was} -> {now}"
    if before.sha256 != after.sha256:
        yield f"content changed ({before.size} -> {after.size} bytes)"


def _sums(listing: str) -> Iterator[tuple[str, str]]:
    """(path, sha256). sha256sum(1) begins a line with a backslash where it had to escape the name."""
    for line in listing.split("\n"):
        digest, _, name = line.removeprefix("\\").partition(" ")
        if name:
            yield (name[1:].replace("\\\\", "\\") if line.startswith("\\") else name[1:]), digest


def _pairs(listing: str) -> Iterator[tuple[str, str]]:
    for line in listing.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            # systemd adds the vendor's preset in a third column; it says nothing about the state.
            yield name, re.split(r"\s{2,}", rest.strip())[0]


def _run(connection: Connection, script: str, stdin: bytes = b"") -> str:
    completed = connection.run(["sh", "-c", script], stdin=stdin, timeout=TIMEOUT)
    if completed.rc != 0:
        raise TransportFailed(
            f"{connection.name}: the state could not be read (exit status {completed.rc})",
            hint=completed.err.strip()[-400:] or None,
        )
    return completed.stdout.decode(errors="surrogateescape")
