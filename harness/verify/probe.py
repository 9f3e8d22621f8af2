"""One shell script a host that looks at everything the checks want: two round trips for hundreds of checks.

The answers come in sections framed by a random token, so no content of a file can be mistaken for a frame.
The script is POSIX sh with stat(1) of GNU, busybox or BSD; processes are read from /proc, so procps is not needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable

from harness.connections.base import Completed, Connection
from harness.machine import processes
from harness.machine.script import TIMEOUT, Script
from harness.verify import services
from harness.verify.seen import Account, Content, Package, Path, Seen, Stat, Wanted

_CHUNK = 400
"""Paths a stat call: with PATH_MAX of 4096 this stays under the two megabytes that Linux allows to exec."""

_GONE = ("No such file or directory", "Not a directory")

_PREFACE = r"""
if stat -c %f / >/dev/null 2>&1; then
  look() { stat -c "$token|%f|%u|%g|%s|%i|%U|%G|%n" -- "$@"; }
  follow() { stat -L -c "$token|%f|%u|%g|%s|%i|%U|%G|%n" -- "$@"; }
else
  look() { stat -f "$token|%Xp|%u|%g|%z|%i|%Su|%Sg|%N" -- "$@"; }
  follow() { stat -L -f "$token|%Xp|%u|%g|%z|%i|%Su|%Sg|%N" -- "$@"; }
fi
readable() { if [ -f "$2" ]; then head -c "$1" -- "$2" 2>&1; else echo 'not a regular file'; false; fi; }
account() { getent "$1" "$2" 2>/dev/null || grep -F "$2:" "/etc/$1" 2>/dev/null; true; }
package() {
  if command -v dpkg-query >/dev/null; then
    echo dpkg; dpkg-query -W -f '${db:Status-Status}\t${Version}\t${Package}\n' "$1" 2>/dev/null
    dpkg-query -W -f '${db:Status-Status}\t${Package}\tprovides\t${Provides}\n' 2>/dev/null | grep -F "$1"
  elif rpm --version >/dev/null 2>&1; then
    echo rpm; rpm -q --whatprovides --qf 'installed\t%{VERSION}-%{RELEASE}\t%{NAME}\n' "$1" 2>/dev/null
  elif command -v apk >/dev/null; then
    echo apk; apk info -e "$1" >/dev/null 2>&1 && printf 'installed\t\t%s\n' "$1"
  elif command -v brew >/dev/null; then
    echo brew; brew list --versions "$1" >/dev/null 2>&1 && printf 'installed\t\t%s\n' "$1"
  fi
  true
}
"""


def look(connection: Connection, wanted: Wanted) -> Seen:
    """Look at everything in `wanted`. Raises TransportFailed (also where there is no POSIX shell), CommandTimedOut."""
    seen = Seen(run=_runner(connection))
    script = Script(_PREFACE)
    itself: dict[str, Stat] = {}
    target: dict[str, Stat] = {}
    _ask_stats(script, wanted.paths, itself, target)
    for path, limit in wanted.contents.items():
        script.ask(f"readable {limit} {shlex.quote(path)}", _content_reader(seen.contents, path))
    for path in sorted(wanted.links):
        word = shlex.quote(path)
        # The shell itself can tell that there is no link: a process less for each of many paths.
        script.ask(f"[ -L {word} ] && readlink -- {word}", _link_reader(seen.links, path))
    for kind, names, accounts in (("passwd", wanted.users, seen.users), ("group", wanted.groups, seen.groups)):
        for name in sorted(names):
            script.ask(f"account {kind} {shlex.quote(name)}", _account_reader(accounts, name))
    for name in sorted(wanted.packages):
        script.ask(f"package {shlex.quote(name)}", _package_reader(seen.packages, name))
    if wanted.services:
        script.add(services.SCRIPT)
    for name in sorted(wanted.services):
        script.ask(f"service_state {shlex.quote(name)}", _service_reader(seen, name))
    if wanted.processes:
        script.ask(processes.SCRIPT, _process_reader(seen))
    if not script.empty:
        script.run(connection)
    troubles = _why_missing(connection, [path for path in wanted.paths if path not in itself])
    for path in wanted.paths:
        seen.paths[path] = Path(itself.get(path), target.get(path), troubles.get(path))
    return seen


def _runner(connection: Connection) -> Callable[[str], Completed]:
    def run(command: str) -> Completed:
        return connection.run(command, timeout=TIMEOUT)

    return run


def _ask_stats(script: Script, paths: Iterable[str], itself: dict[str, Stat], target: dict[str, Stat]) -> None:
    ordered = sorted(paths)
    for start in range(0, len(ordered), _CHUNK):
        words = " ".join(shlex.quote(path) for path in ordered[start : start + _CHUNK])
        script.ask(f"look {words} 2>/dev/null", _stat_reader(script.token, itself))
        script.ask(f"follow {words} 2>/dev/null", _stat_reader(script.token, target))


def _stat_reader(token: str, into: dict[str, Stat]) -> Callable[[int, bytes], None]:
    def read(_: int, output: bytes) -> None:
        for record in output.split(f"{token}|".encode())[1:]:
            fields = record.decode(errors="surrogateescape").split("|", 7)
            mode, uid, gid, size, inode, user, group, name = fields
            into[name.removesuffix("\n")] = Stat(int(mode, 16), int(uid), int(gid), int(size), int(inode), user, group)

    return read


def _why_missing(connection: Connection, missing: list[str]) -> dict[str, str]:
    """The host's own words for each path that stat gave no answer for and that is not simply absent.

    "Permission denied" must not pass for "does not exist"."""
    script = Script(_PREFACE)
    troubles: dict[str, str] = {}
    for path in missing:
        script.ask(f"look {shlex.quote(path)} 2>&1 >/dev/null", _trouble_reader(troubles, path))
    if not script.empty:
        script.run(connection)
    return troubles


def _trouble_reader(into: dict[str, str], path: str) -> Callable[[int, bytes], None]:
    def read(rc: int, output: bytes) -> None:
        words = output.decode(errors="replace").strip()
        if rc != 0 and not words.endswith(_GONE):
            into[path] = words or f"stat failed with exit status {rc}"

    return read


def _content_reader(into: dict[str, Content], path: str) -> Callable[[int, bytes], None]:
    def read(rc: int, output: bytes) -> None:
        if rc == 0:
            into[path] = Content(output)
        else:
            into[path] = Content(trouble=output.decode(errors="replace").strip() or f"exit status {rc}")

    return read


def _link_reader(into: dict[str, str], path: str) -> Callable[[int, bytes], None]:
    def read(rc: int, output: bytes) -> None:
        if rc == 0:
            into[path] = output.decode(errors="surrogateescape").removesuffix("\n")

    return read


def _account_reader(into: dict[str, Account | None], name: str) -> Callable[[int, bytes], None]:
    def read(_: int, output: bytes) -> None:
        into[name] = None
        for line in output.decode(errors="replace").splitlines():
            fields = line.split(":")
            if fields[0] == name and len(fields) >= 3 and fields[2].isdigit():
                home, shell = (fields[5], fields[6]) if len(fields) >= 7 else ("", "")
                into[name] = Account(int(fields[2]), home, shell)
                return

    return read


def _package_reader(into: dict[str, Package], name: str) -> Callable[[int, bytes], None]:
    def read(_: int, output: bytes) -> None:
        manager, _newline, rest = output.decode(errors="replace").partition("\n")
        version: str | None = None
        provider: str | None = None
        for line in rest.splitlines():
            fields = line.split("\t")
            if fields[0] != "installed":
                continue
            if len(fields) == 4:
                provided = {item.split()[0] for item in fields[3].split(",") if item.strip()}
                provider = fields[1] if name in provided else provider
            elif len(fields) == 3:
                version = fields[1] or "?"
        into[name] = Package(manager.strip(), version, provider)

    return read


def _service_reader(seen: Seen, name: str) -> Callable[[int, bytes], None]:
    def read(_: int, output: bytes) -> None:
        seen.services[name] = services.parse(output.decode(errors="replace"))

    return read


def _process_reader(seen: Seen) -> Callable[[int, bytes], None]:
    def read(_: int, output: bytes) -> None:
        seen.processes = processes.parse(output)

    return read
