"""Whether systemd's units are confined on a platform as they ask to be.

Where it may not mount (a capability, a system call filter or AppArmor forbids it), systemd starts a unit without its
PrivateTmp= and ProtectSystem= and says nothing: systemd.exec(5), "Sandboxing". A test of such a service proves nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import Driver, PlatformSpec, ScenarioRef
from harness.errors import HarnessError, Problem
from harness.lifecycle.context import Context
from harness.lifecycle.workspace import Workspace, new_run_id

_PROBE = """
command -v systemd-run >/dev/null || exit 0
unit() { systemd-run --wait --pipe --quiet --collect "$@" 2>/dev/null; }
witness=/tmp/.harness-witness-$$
: >"$witness"
unit -p PrivateTmp=yes -p ProtectSystem=strict sh -c '
    test -e "$1" || echo PrivateTmp
    test -w /usr || echo ProtectSystem' sh "$witness"
rm -f "$witness"
id=$(unit -p DynamicUser=yes id -u)
test "${id:-0}" -ge 61184 && test "$id" -le 65519 && echo DynamicUser
echo asked
"""
_ASKED = {"PrivateTmp", "ProtectSystem", "DynamicUser"}
_SECONDS = 30.0

HINT = (
    "systemd must be allowed to mount: CAP_SYS_ADMIN, and no seccomp filter or AppArmor profile that forbids it; "
    "until then tests of confined services prove nothing"
)


def unconfined(connection: Connection) -> list[str]:
    """The settings that do not apply, sorted; none where there is no systemd.

    Raises TransportFailed, CommandTimedOut.
    """
    said = set(connection.run(_PROBE, user="root", timeout=_SECONDS).out.split())
    return sorted(_ASKED - said) if "asked" in said else []


def warn_of_unconfined(context: Context, names: Iterable[str]) -> None:
    """Looks at those of `names` that have booted systemd, side by side."""
    booted = [name for name in names if getattr(context.fleet.specs[name].options, "init", None) == "systemd"]

    def look(name: str) -> list[str]:
        connection = context.fleet.members[name].connection
        return unconfined(connection) if connection is not None else []

    # What cannot be asked is told by the next step that needs the platform.
    for name, lacking in context.each(booted, look).done.items():
        if lacking:
            context.warn(f"{name}: {_said(lacking)} ({HINT})")


def tried(driver: Driver) -> list[Problem]:
    """Boots a platform of the driver, where it has all that is needed for that, and says what does not apply there."""
    spec = driver.systemd_trial()
    if spec is None:
        return []
    try:
        with _platform(driver, spec) as connection:
            lacking = unconfined(connection)
    except HarnessError as error:
        return [Problem("systemd", f"does not boot: {error.message}", error.hint)]
    return [Problem("systemd", _said(lacking), HINT)] if lacking else []


def _said(lacking: Sequence[str]) -> str:
    return f"units are not confined as they ask: {', '.join(lacking)} {'does' if len(lacking) == 1 else 'do'} not apply"


@contextmanager
def _platform(driver: Driver, spec: PlatformSpec) -> Iterator[Connection]:
    from harness.connections import open_connection

    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        workspace, run = Workspace.of(Path(folder)), new_run_id()
        workspace.prepare()
        with (
            workspace.run_lock(run).acquire("doctor", timeout=5.0),
            driver.open(ScenarioRef(Path(folder), "doctor", Path(folder)), run, keep=False) as site,
        ):
            [instance] = site.create([spec], {})
            try:
                with open_connection(site.wait_ready(instance, Deadline(_SECONDS)), name=spec.name) as connection:
                    yield connection
            finally:
                site.destroy(instance)
