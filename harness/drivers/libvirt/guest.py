"""What is done inside a guest, through its root shell, before it is handed over: its name, its neighbours, its shares,
and whether its init has come up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.connections.base import Connection
from harness.deadline import Deadline, poll
from harness.drivers.libvirt.networks import Place
from harness.errors import CommandTimedOut, DriverFailed, NotReady

UP = ("running", "degraded")
_UNFIT = 97


@dataclass(frozen=True)
class Mount:
    """A share: by its tag, at a path of the guest."""

    tag: str
    target: str
    read_only: bool


# A second call changes nothing. The marked lines of /etc/hosts are ours. No program but the shell where there is no
# share: each takes an emulated guest a twentieth of a second.
_SETTLE = """
name=$1 hosts=$2; shift 2
read -r known </proc/sys/kernel/hostname
if [ "$known" != "$name" ]; then
    printf '%s\\n' "$name" >/etc/hostname && printf '%s' "$name" >/proc/sys/kernel/hostname
fi
ours= others=
while IFS= read -r line || [ "$line" ]; do
    case $line in
    *'# harness') ours="$ours$line
" ;;
    *) others="$others$line
" ;;
    esac
done </etc/hosts
if [ "$ours" != "$hosts
" ]; then printf '%s%s\\n' "$others" "$hosts" >/etc/hosts; fi
while [ $# -gt 0 ]; do
    if ! grep -q "^$1 " /proc/mounts; then
        modprobe 9pnet_virtio 2>/dev/null
        mkdir -p "$2" && mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144,$3" "$1" "$2" || exit 97
    fi
    shift 3
done
"""


def settle(connection: Connection, name: str, places: Sequence[Place], mounts: Sequence[Mount], timeout: float) -> None:
    """Raises DriverFailed."""
    lines = [f"127.0.1.1 {name} # harness", *(f"{p.address} {p.name} # harness" for p in places if p.name != name)]
    arguments = [part for mount in mounts for part in (mount.tag, mount.target, "ro" if mount.read_only else "rw")]
    done = connection.run(["sh", "-c", _SETTLE, "sh", name, "\n".join(lines), *arguments], timeout=timeout)
    if done.rc == _UNFIT:
        raise DriverFailed(
            f"{name}: its share cannot be mounted: {done.err.strip()}", hint="the guest's kernel needs 9p over virtio"
        )
    if not done.ok:
        raise DriverFailed(f"{name}: it cannot be named in its guest: {done.err.strip() or done.out.strip()}")


def wait_for_init(connection: Connection, name: str, deadline: Deadline) -> str:
    """Until systemd has worked off its first jobs; its state. A guest of another init is up when its shell answers.

    Raises NotReady with its state and unfinished jobs.
    """
    if not connection.run("[ -d /run/systemd/system ]", timeout=max(1.0, deadline.remaining())).ok:
        return UP[0]

    def up(last: bool) -> str | None:
        state = _ask(connection, "systemctl is-system-running", deadline)
        if state.split("\n")[0] in UP:
            return state.split("\n")[0]
        if last:
            jobs = _ask(connection, "systemctl list-jobs --no-pager --no-legend", Deadline(20))
            words = "; ".join(part for part in (state, jobs and f"jobs: {jobs}") if part) or "no answer"
            raise NotReady(f"{name}: systemd is not up after {deadline.elapsed():.1f} s: {words}")
        return None

    return poll(up, deadline, interval=0.05, slowest=0.5) or ""


def start_what_failed(connection: Connection, timeout: float) -> None:
    """Once more, what systemd could not start: on a machine that was busy, that was for want of time."""
    failed = "systemctl list-units --failed --plain --no-legend --no-pager"
    with suppress(CommandTimedOut):  # it stays degraded, as it would have
        connection.run(f'{failed} | while read -r unit rest; do systemctl restart "$unit"; done', timeout=timeout)


def _ask(connection: Connection, command: str, deadline: Deadline) -> str:
    try:
        return connection.run(command, timeout=max(1.0, deadline.remaining())).out.strip()
    except CommandTimedOut:
        return ""


def boot_id(connection: Connection, timeout: float) -> str:
    """Another one at every boot (random(4)): what proves that a guest was started anew."""
    return connection.run("cat /proc/sys/kernel/random/boot_id", timeout=timeout).out.strip()
