"""When a machine behind sshd answers, and whether it is the same boot that answers."""

from __future__ import annotations

from collections.abc import Callable

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline, poll
from harness.errors import CommandTimedOut, DriverFailed, NotReady, TransportFailed, Unreachable
from harness.models.endpoint import Ssh

_PATIENCE = 10.0
"""Seconds for one command."""
_BOOT_ID = (
    "cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.boottime 2>/dev/null || "
    "sysctl -n kern.boot_id 2>/dev/null"
)
# Aside and later, so that this command still gets its answer.
_REBOOT = """
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" = 0 ]; then become=; elif sudo -n true 2>/dev/null; then become='sudo -n'; else
echo 'only root may restart it, and sudo wants a password' >&2; exit 1; fi
command -v reboot >/dev/null || { echo 'there is no reboot' >&2; exit 1; }
nohup sh -c "sleep 1; $become reboot" >/dev/null 2>&1 </dev/null &
"""


def answering(
    endpoint: Ssh, name: str, deadline: Deadline, is_right: Callable[[Connection], bool] | None = None
) -> Ssh:
    """The endpoint once commands run there, and it `is_right`. Raises NotReady with what was last seen; at once where
    waiting does not help (a wrong key): not where `is_right` is asked, for it is one that has let us in before, and
    while a machine goes down or comes up it may turn anybody away."""

    def answers(last: bool) -> Ssh | None:
        with open_connection(endpoint, name=name) as connection:
            try:
                if is_right(connection) if is_right else connection.run("true", timeout=_PATIENCE).ok:
                    return endpoint
                words, hint = "it answers, but was not restarted: its boot id is the same", None
            except (TransportFailed, CommandTimedOut) as error:
                if is_right is None and not isinstance(error, Unreachable | CommandTimedOut):
                    raise NotReady(error.message, hint=error.hint) from error
                words, hint = error.of(name), error.hint
        if last:
            raise NotReady(f"{name}: after {deadline.elapsed():.0f} s: {words}", hint=hint)
        return None

    found = poll(answers, deadline, interval=0.2, slowest=2.0)
    assert found is not None
    return found


def restart(endpoint: Ssh, name: str, deadline: Deadline) -> Ssh:
    """By its own `reboot`, proven by its boot id. Raises DriverFailed; NotReady when that does not change in time."""
    with open_connection(endpoint, name=name) as connection:
        before = _boot_id(connection)
        if not before:
            raise DriverFailed(f"{name}: it has no boot id, so that a restart could not be proven")
        done = connection.run(_REBOOT, timeout=30)
        if not done.ok:
            raise DriverFailed(f"{name}: it cannot be restarted: {done.err.strip()}")
    return answering(endpoint, name, deadline, is_right=lambda connection: _boot_id(connection) not in ("", before))


def _boot_id(connection: Connection) -> str:
    return connection.run(_BOOT_ID, timeout=_PATIENCE).out.strip()
