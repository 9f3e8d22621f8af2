"""Look at a machine: whatever is asked, in one round trip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from harness.connections.base import Connection
from harness.errors import TransportFailed
from harness.machine import listing, processes
from harness.machine.model import Look, Machine, Socket
from harness.machine.script import TIMEOUT, Script

_CLOCK = "date +%s.%N; umask"
_BOOT = "/proc/sys/kernel/random/boot_id"
_SOCKETS = tuple(f"/proc/net/{protocol}" for protocol in ("tcp", "tcp6", "udp", "udp6"))
_TRAFFIC = "/proc/net/snmp"
_IN_USE = ("/proc/net/sockstat", "/proc/net/sockstat6")
_USERS, _GROUPS = "/etc/passwd", "/etc/group"
_HEADER = re.compile(r"(?:^|\n)==> (/\S+) <==\n")
# systemd's own patience with itself is 25 s, which an emulated machine on a busy one may take; and then it would seem
# to have no unit at all.
_UNITS = """if [ -d /run/systemd/system ]; then
  SYSTEMD_BUS_TIMEOUT=300 systemctl list-unit-files --no-legend --no-pager --full
fi"""
_SERVICES = """if [ -d /run/systemd/system ]; then
  SYSTEMD_BUS_TIMEOUT=300 systemctl list-units --type=service --all --plain --no-legend --no-pager --full
fi"""
_PACKAGES = r"""
if command -v dpkg-query >/dev/null; then
  dpkg-query -W -f '${Package}:${Architecture} ${Version} ${db:Status-Status}\n'
elif rpm --version >/dev/null 2>&1; then rpm -qa --qf '%{NAME}.%{ARCH} %{VERSION}-%{RELEASE} installed\n'
elif command -v apk >/dev/null; then apk info -v | sed 's/$/ installed/'
fi"""
"""`rpm --version` and not its mere presence: busybox has an applet of that name, without a database."""
_SENT = {
    "Ip": ("OutNoRoutes",),
    "Tcp": ("ActiveOpens", "PassiveOpens"),
    "Udp": ("OutDatagrams",),
}
"""RFC 4293, 4022 and 4113, as Linux counts for each network name space (Documentation/networking/snmp_counter.rst)."""


def capture(connection: Connection, look: Look, *, timeout: float = TIMEOUT) -> Machine:
    """Raises TransportFailed (also where there is no POSIX shell), CommandTimedOut."""
    seen = Machine(looked_for=frozenset(look.paths))
    script = Script()
    script.ask(_CLOCK, _reader(lambda output: _read_clock(seen, output)))
    _ask_small_files(script, look, seen)
    sums: dict[str, str] = {}
    _ask_files(script, look, seen, sums)
    if look.processes:
        script.ask(processes.SCRIPT, _reader(lambda output: setattr(seen, "processes", processes.parse(output))))
    if look.packages:
        script.ask(_PACKAGES, _reader(lambda output: setattr(seen, "packages", dict(_pairs(output)))))
    if look.units:
        script.ask(_UNITS, _answered("units", lambda output: setattr(seen, "units", dict(_pairs(output)))))
    if look.services:
        script.ask(_SERVICES, _answered("services", lambda output: setattr(seen, "services", dict(_doings(output)))))
    script.run(connection, timeout)
    for path, digest in sums.items():
        if path in seen.files:
            seen.files[path] = replace(seen.files[path], sha256=digest)
    return seen


def _reader(take: Callable[[bytes], None]) -> Callable[[int, bytes], None]:
    return lambda _, output: take(output)


def _answered(what: str, take: Callable[[bytes], None]) -> Callable[[int, bytes], None]:
    """For what a daemon is asked: one that does not answer has not said that there is nothing."""

    def read(status: int, output: bytes) -> None:
        if status != 0:
            raise TransportFailed(f"systemd did not tell its {what} (systemctl ended with status {status})")
        take(output)

    return read


def _ask_small_files(script: Script, look: Look, seen: Machine) -> None:
    """One process reads them all."""
    names = [_BOOT, *(_SOCKETS if look.sockets else ()), *((_TRAFFIC, *_IN_USE) if look.traffic else ())]
    names += [_USERS, _GROUPS] if look.accounts else []

    def read(_: int, output: bytes) -> None:
        parts = _HEADER.split(output.decode(errors="replace"))
        told = dict(zip(parts[1::2], parts[2::2], strict=True))
        seen.boot = told.get(_BOOT, "").strip()
        seen.users = dict(_accounts(told.get(_USERS, "")))
        seen.groups = dict(_accounts(told.get(_GROUPS, "")))
        if look.sockets:
            seen.sockets = read_sockets({name.rpartition("/")[2]: told[name] for name in _SOCKETS if name in told})
        if look.traffic:
            seen.traffic = read_traffic(told.get(_TRAFFIC, ""))
            seen.sockets_in_use = read_in_use(*(told.get(name, "") for name in _IN_USE))

    script.ask(f"head -v -c 4194304 {' '.join(names)} 2>/dev/null", read)


def _ask_files(script: Script, look: Look, seen: Machine, sums: dict[str, str]) -> None:
    commands = [*listing.of_paths(look.paths), *listing.of_folders(look.folders), *listing.of_trees(look.trees)]
    if look.everything:
        commands.append(listing.EVERYTHING)
    if commands:
        script.add(listing.PREFACE)
    for command in commands:
        script.ask(command, _reader(lambda output: seen.files.update(listing.read_entries(output))))
    for command in listing.sums(look.paths, look.largest):
        script.ask(command, _reader(lambda output: sums.update(listing.read_sums(output))))


def _read_clock(seen: Machine, output: bytes) -> None:
    # busybox's date knows no %N and writes it as it stands.
    match = re.match(rb"(\d+(?:\.\d+)?)\S*\n([0-7]+)", output)
    if match:
        seen.clock, seen.umask = float(match[1]), int(match[2], 8)


def _accounts(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        if colon:
            yield name, rest


def _pairs(output: bytes) -> Iterator[tuple[str, str]]:
    for line in output.decode(errors="replace").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            # systemd adds the vendor's preset in a third column; it says nothing about the state.
            yield name, re.split(r"\s{2,}", rest.strip())[0]


def _doings(output: bytes) -> Iterator[tuple[str, str]]:
    """Of lines `cron.service loaded active running Description`."""
    for line in output.decode(errors="replace").splitlines():
        fields = line.split()
        if len(fields) >= 4 and fields[1] != "not-found":
            yield fields[0], f"{fields[2]} {fields[3]}"


_LISTENING = {"tcp": "0A", "udp": "07"}
"""TCP_LISTEN, and TCP_CLOSE: what a datagram socket that is bound and connected to nobody is in (tcp_states.h)."""


def read_sockets(tables: Mapping[str, str]) -> frozenset[Socket] | None:
    """Of /proc/net/{tcp,tcp6,udp,udp6}, by protocol; None where there is none of them."""
    if not tables:
        return None
    found = set()
    for protocol, table in tables.items():
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTENING[protocol[:3]] and set(fields[2]) <= set("0:"):
                address, _, port = fields[1].partition(":")
                found.add(Socket(protocol, _address(address), int(port, 16)))
    return frozenset(found)


def _address(digits: str) -> str:
    """The kernel writes each four bytes as one number of the processor's byte order, which is little-endian wherever we
    run."""
    import ipaddress

    data = bytes.fromhex(digits)
    data = b"".join(data[start : start + 4][::-1] for start in range(0, len(data), 4))
    return str(ipaddress.ip_address(data))


def read_traffic(table: str) -> dict[str, int] | None:
    """Of /proc/net/snmp: a line of names and one of numbers for each protocol."""
    found: dict[str, int] = {}
    names: list[str] = []
    for line in table.splitlines():
        protocol, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].lstrip("-").isdigit():
            told = dict(zip(names, words, strict=False))
            found.update({f"{protocol}.{name}": int(told[name]) for name in _SENT.get(protocol, ()) if name in told})
        else:
            names = words
    return found or None


def read_in_use(*tables: str) -> int | None:
    """Of /proc/net/sockstat and sockstat6: `TCP: inuse 3 orphan 0 ...`, the network name space's own."""
    counts = re.findall(r"^(?:TCP|UDP|RAW)6?: inuse (\d+)", "\n".join(tables), re.MULTILINE)
    return sum(map(int, counts)) if counts else None
