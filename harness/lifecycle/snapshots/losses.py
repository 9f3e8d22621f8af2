"""What `prepare` left that a snapshot does not hold: processes, and files on tmpfs or in volumes, each by its name.

Looked at before `prepare`, after it, and once more when the platform has gone on from the snapshot: what came back by
itself (a unit that systemd starts at boot) is not lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from harness.connections.base import Connection
from harness.drivers.base import Capability
from harness.errors import HarnessError
from harness.lifecycle.failures import raise_defects

if TYPE_CHECKING:
    from harness.lifecycle.context import Context

_SECONDS = 30.0
_PROCESSES = 'cd /proc && for p in [0-9]*; do { read -r name <"$p/comm" && echo "$p $name"; } 2>/dev/null; done'
_NEW_EACH_TIME = ("/.harness-", "/systemd-private-")
"""Under other names after every start: the connection's own folder, and those of units with a PrivateTmp."""
_TOLD = 8
"""Names of one platform."""


@dataclass(frozen=True)
class Seen:
    """What there is on a platform: processes by id, and the entries of the folders that a snapshot leaves out."""

    processes: Mapping[str, str]
    entries: frozenset[str] = frozenset()


def look(context: Context, folders: Mapping[str, Iterable[str]] | None = None) -> dict[str, Seen]:
    """By platform, where that can be told: those whose driver isolates them and keeps no processes in its snapshots.

    `folders` says which to look into; by default none.
    """

    def see(name: str) -> Seen:
        return _see(context.fleet.connection(name), (folders or {}).get(name, ()))

    outcome = context.each([name for name in context.hosts if _loses(context, name)], see)
    raise_defects(outcome)  # a platform that cannot be looked at is found out by what comes next
    return outcome.done


def left_running(before: Mapping[str, Seen], *after: Mapping[str, Seen]) -> dict[str, Counter[str]]:
    """Processes that came with `prepare`, by platform and name. `after` is looked at several times: what is only
    passing, the look itself included, has another id each time."""
    found = {}
    for name, then in before.items():
        ids = set.intersection(*(set(one[name].processes.items()) if name in one else set() for one in after))
        found[name] = Counter(process for id, process in ids if id not in then.processes)
    return found


def lost(left: Mapping[str, Counter[str]], then: Mapping[str, Seen], now: Mapping[str, Seen]) -> dict[str, list[str]]:
    """What of that is not there any more, by platform, in words."""
    found = {}
    for name in left.keys() & then.keys() & now.keys():
        had, has = Counter(then[name].processes.values()), Counter(now[name].processes.values())
        ended = [process for process in left[name] if has[process] < had[process]]
        gone = sorted(then[name].entries - now[name].entries)
        told = [*sorted(ended), *gone]
        if told:
            found[name] = told[:_TOLD] + ([f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else [])
    return found


def _see(connection: Connection, folders: Iterable[str]) -> Seen:
    places = " ".join(quote(folder.rstrip("/")) for folder in folders if folder.startswith("/"))
    listing = f'; for f in {places}; do for e in "$f"/* "$f"/.[!.]*; do [ -e "$e" ] && echo "$e"; done; done'
    try:
        done = connection.run(f"({_PROCESSES}{listing if places else ''}); true", timeout=_SECONDS)
    except HarnessError:
        return Seen({})
    lines = done.out.splitlines()
    processes = (line.partition(" ") for line in lines if not line.startswith("/"))
    entries = frozenset(
        line for line in lines if line.startswith("/") and not any(one in line for one in _NEW_EACH_TIME)
    )
    return Seen({id: name for id, _, name in processes}, entries)


def _loses(context: Context, name: str) -> bool:
    capabilities = context.fleet.members[name].site.capabilities
    # Where nothing is isolated, others' processes would be seen.
    isolated = Capability.ISOLATED in capabilities and Capability.LIVE_STATE not in capabilities
    return isolated and context.fleet.specs[name].os == "linux"
