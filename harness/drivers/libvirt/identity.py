"""What makes a guest that goes on from a snapshot itself, and no other's double: clock, entropy, machine-id, sshd's
host keys, and its address."""

from __future__ import annotations

import secrets
import time

from harness.connections.base import Connection
from harness.deadline import Deadline, poll
from harness.drivers import sshd
from harness.errors import DriverFailed, NotReady

# Where the processor is emulated, each program that a guest has not run since it went on takes a twentieth of a second
# and more: what the shell can do itself it does. RNDRESEEDCRNG (random(4)) has the kernel use at once what was written
# to /dev/urandom. Keys are written into the files that are there, which keep their modes.
_RENEW = r"""
machine=$1 now=$2 address=$3 reload=$4
date -u -s "@$now" >/dev/null 2>&1 || date -u -s "@${now%.*}" >/dev/null || exit 1
read -r told _ </proc/uptime
IFS= read -r entropy; printf %s "$entropy" >/dev/urandom
perl -e 'open F, ">", "/dev/urandom"; ioctl F, 0x5207, 0' 2>/dev/null ||
    python3 -IS -c 'import fcntl; fcntl.ioctl(open("/dev/urandom", "wb", 0), 0x5207)' 2>/dev/null
for file in /etc/machine-id /var/lib/dbus/machine-id; do
    if [ -s "$file" ] && [ ! -L "$file" ]; then printf '%s\n' "$machine" >"$file" || exit 1; fi
done
for folder in /run/harness-sshd /dev/shm/harness-sshd; do
    if [ -d "$folder" ]; then
        systemctl stop harness-sshd 2>/dev/null || kill "$(cat "$folder/pid")" 2>/dev/null
        rm -rf "$folder"
    fi
done
private= public=
while IFS= read -r line; do
    case $line in ssh-*) public=$line ;; *) private="$private$line
" ;; esac
done
for key in /etc/ssh/ssh_host_*_key; do
    [ -e "$key" ] || break
    kind=${key#/etc/ssh/ssh_host_}; kind=${kind%_key}; fresh=/etc/ssh/.harness-$$
    if [ "$kind" = ed25519 ] && [ "$private" ]; then
        printf %s "$private" >"$key" && printf '%s\n' "$public" >"$key.pub" || exit 1
    elif command -v ssh-keygen >/dev/null; then
        ssh-keygen -q -t "$kind" -N '' -f "$fresh" && mv "$fresh.pub" "$key.pub" && mv "$fresh" "$key" || exit 1
    fi
done
if [ "$address" ]; then
    for device in /sys/class/net/*/device; do
        name=${device%/device}; name=${name##*/}
        ip link set dev "$name" down; ip link set dev "$name" address "$address" && ip link set dev "$name" up || exit 1
        break
    done
    sh -c "$reload" </dev/null >/dev/null 2>&1
else
    setsid sh -c "sleep 1; $reload" </dev/null >/dev/null 2>&1 &
fi
read -r done _ </proc/uptime
printf '%s %s\n' "$told" "$done"
"""
_RELOAD = "systemctl try-reload-or-restart ssh.service sshd.service"
_READ_AHEAD = "date; perl -e 1; command -v python3 && python3 -I -S -c 'import fcntl'; setsid -V; systemctl --version"
_LATE_SECONDS = 0.5
_HAS_ADDRESS = "ip -4 -o addr show scope global | grep -q inet"


def renew(connection: Connection, name: str, address: str | None, timeout: float) -> None:
    """`address`: the MAC address that its interface takes, whose link is still down; None for a guest that is alone on
    its network: it keeps the snapshot's, and its sshd, which takes as long as all the rest, is told of its new host
    keys when it is at work already. Raises DriverFailed."""
    started = time.monotonic()
    arguments = [secrets.token_hex(16), f"{time.time():.3f}", address or "", _RELOAD]
    told = "\n".join([secrets.token_hex(64), *_host_key()])
    done = connection.run(["sh", "-c", _RENEW, "sh", *arguments], stdin=told.encode(), timeout=timeout)
    if not done.ok:
        words = done.err.strip() or done.out.strip()
        raise DriverFailed(f"{name}: it went on from a snapshot, but could not be made itself again: {words}")
    before, after = (float(uptime) for uptime in done.out.split())
    if time.monotonic() - started - (after - before) > _LATE_SECONDS:  # a guest that is slow learned the time too late
        connection.run(f"date -u -s @{time.time():.3f}", timeout=timeout)


def read_ahead(connection: Connection, timeout: float) -> None:
    """Before a guest is saved: what each that goes on from there runs first is then in its memory, and not on its disk
    alone."""
    connection.run(_READ_AHEAD, timeout=timeout)


def _host_key() -> tuple[str, ...]:
    """Made here, where it takes a millisecond: an emulated guest thinks about one for half a second. Nothing where the
    library is not installed: then the guest makes it."""
    try:
        private, public = sshd.key_pair()
    except DriverFailed:
        return ()
    return private.rstrip(), public


def wait_for_address(connection: Connection, name: str, deadline: Deadline) -> None:
    """Until its network has given it one. Raises NotReady."""

    def given(last: bool) -> bool | None:
        if connection.run(_HAS_ADDRESS, timeout=max(1.0, deadline.remaining())).ok:
            return True
        if last:
            raise NotReady(
                f"{name}: its network gave it no address in {deadline.elapsed():.0f} s",
                hint="a clone's link is new: something in the guest must ask by DHCP, as systemd-networkd does",
            )
        return None

    poll(given, deadline, interval=0.05, slowest=0.5)
