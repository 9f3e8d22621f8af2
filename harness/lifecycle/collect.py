"""What is fetched from the hosts when something has failed, before they are destroyed."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path, PurePosixPath

from harness.connections.base import Connection
from harness.drivers.base import Capability
from harness.errors import HarnessError
from harness.lifecycle.context import Context

_OUTSIDE = {Capability.CONSOLE, Capability.SCREENSHOT}


def collect(context: Context, step: str) -> None:
    """The scenario's `collect` paths and the consoles, to `collected/HOST/` in the run's folder. Never raises for a
    host that cannot give them: it says so."""
    reached = {name for name in context.hosts if context.fleet.members[name].connection is not None}

    def fetch(host: str) -> None:
        folder = context.folder / "collected" / host
        _look_from_outside(context, host, folder, step)
        for pattern in context.scenario.collect if host in reached else ():
            for path in _expand(context.fleet.connection(host), pattern):
                _pull(context, host, path, folder, step)

    wanted = [
        host
        for host in context.hosts
        if (host in reached and context.scenario.collect) or _OUTSIDE & context.fleet.members[host].site.capabilities
    ]
    for host, error in context.each(wanted, fetch).failed.items():
        context.event(step, host, f"could not be collected from: {error}")


def _expand(connection: Connection, pattern: str) -> list[str]:
    """The paths on the host that a glob matches; the pattern itself where none does."""
    if not any(sign in pattern for sign in "*?["):
        return [pattern]
    quoted = "".join(part if part in "*?[]" else shlex.quote(part) for part in re.split(r"([*?\[\]])", pattern) if part)
    script = f'for path in {quoted}; do [ -e "$path" ] && printf "%s\\0" "$path"; done; :'
    listed = connection.run(["/bin/sh", "-c", script], timeout=30.0)
    return [path for path in listed.out.split("\0") if path] or [pattern]


def _pull(context: Context, host: str, path: str, folder: Path, step: str) -> None:
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..", ".")]
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        context.fleet.connection(host).pull(path, target)
        context.event(step, host, f"collected {path} to {target}")
    except FileNotFoundError:
        context.event(step, host, f"{path} does not exist, so it was not collected")
    except (HarnessError, OSError) as error:
        context.event(step, host, f"{path} could not be collected: {error}")


def _look_from_outside(context: Context, host: str, folder: Path, step: str) -> None:
    """Its console and its screen, which tell most where nothing answers in it."""
    member = context.fleet.members[host]
    capabilities = member.site.capabilities
    with suppress(HarnessError, OSError):
        if Capability.CONSOLE in capabilities:
            text = member.site.console(member.instance)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "console.log").write_text(context.mask.text(text), errors="backslashreplace")
    with suppress(HarnessError, OSError):
        if Capability.SCREENSHOT in capabilities:
            picture = member.site.screenshot(member.instance)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "screen.png").write_bytes(picture)
            context.ledger.screens[host] = str(folder / "screen.png")
            context.event(step, host, f"its screen is in {folder / 'screen.png'}")
