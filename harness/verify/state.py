"""The state that a second run must not change: watched files, accounts, services, units and packages."""

from __future__ import annotations

from collections.abc import Collection

from harness.connections.base import Connection
from harness.machine import Look, Machine, capture
from harness.models.plan import Plan
from harness.models.results import HostExecutionResult
from harness.verify.derive import watched
from harness.verify.probe import look
from harness.verify.seen import Wanted

UNITS = tuple(
    f"{folder}/systemd/{kind}"
    for folder, kind in (
        ("/etc", "system"),
        ("/run", "system"),
        ("/run", "generator"),
        ("/run", "generator.early"),
        ("/run", "generator.late"),
        ("/usr/local/lib", "system"),
        ("/usr/lib", "system"),
        ("/lib", "system"),
    )
)
"""Where systemd finds units, and what enables or masks them (systemd.unit(5), UNIT FILE LOAD PATH). What it would tell
of them it reads there, too: an emulated one for seconds."""
ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")
"""Always watched: the databases behind users and groups."""


def take_state(
    connection: Connection, plan: Plan | None, host: str, result: HostExecutionResult | None = None
) -> Machine:
    """What the plan's tasks for `host` name, and what `result`, where known, says they made; all units, packages and
    accounts. Raises TransportFailed, CommandTimedOut."""
    paths, services = watched(plan, host, result)
    state = capture(connection, Look(paths={*paths, *ACCOUNTS}, trees=UNITS, packages=True))
    state.services = _doing(connection, services)
    return state


def _doing(connection: Connection, services: Collection[str]) -> dict[str, str]:
    """Of these alone: others come and go by themselves."""
    if not services:
        return {}
    seen = look(connection, Wanted(services=set(services)))
    return {name: seen.service(name).detail for name in services}
