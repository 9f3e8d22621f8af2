"""Facts of a POSIX platform, in one round trip."""

from __future__ import annotations

import shlex

from harness.connections.base import Connection
from harness.errors import TransportFailed
from harness.models.facts import Facts

ARCHITECTURES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armv7l": "armv7",
    "armv8l": "armv7",
    "i386": "i686",
    "i586": "i686",
}
THIRTY_TWO_BIT = {"x86_64": "i686", "aarch64": "armv7"}
SYSTEMS = {"Linux": "linux", "Darwin": "macos"}
PACKAGE_MANAGERS = {
    "apt-get": "apt",
    "dnf": "dnf",
    "yum": "yum",
    "apk": "apk",
    "zypper": "zypper",
    "pacman": "pacman",
    "brew": "brew",
}

# Each program costs a platform milliseconds, and there a handshake more than all else: hence few of them.
# libc: Debian's musl package also installs an ld-musl, and Alpine's gcompat an ld-linux: with both, getconf is asked.
# init: /run/systemd/system is what sd_booted(3) looks at; that systemd is installed says nothing.
_SCRIPT = """
say() {{ printf '%s=%s\\n' "$1" "$2"; }}
any() {{ for each in "$@"; do [ ! -e "$each" ] || return 0; done; return 1; }}
set -- $(uname -snm); os=$1 hostname=$2 arch=$3
say os "$os"; say arch "$arch"; say hostname "$hostname"
set -- $(id); uid=${{1#uid=}}; say uid "${{uid%%"("*}}"; say user "$1"
say bits "$(getconf LONG_BIT 2>/dev/null)"
libc=
! any /lib/ld-linux* /lib64/ld-linux* /lib/*/ld-linux* || libc=gnu
if any /lib/ld-musl-* /usr/lib/ld-musl-*; then
[ "$libc" = gnu ] && getconf GNU_LIBC_VERSION >/dev/null 2>&1 || libc=musl
fi
[ -z "$libc" ] || say libc "$libc"
if [ -r /proc/1/comm ]; then read -r one </proc/1/comm; else one=; fi
if [ -d /run/systemd/system ]; then say init systemd
elif [ -e /run/openrc ]; then say init openrc
elif [ "$os" = Darwin ]; then say init launchd
elif [ "$one" = init ]; then say init sysvinit
fi
for name in {managers}; do
if command -v "$name" >/dev/null 2>&1; then say manager "$name"; fi
done
if command -v sw_vers >/dev/null 2>&1; then say version "$(sw_vers -productVersion)"; say distribution macos; fi
for release in /etc/os-release /usr/lib/os-release; do
if [ -r "$release" ]; then
echo release
while IFS= read -r line || [ -n "$line" ]; do printf '%s\\n' "$line"; done <"$release"
break
fi
done
"""


def probe(connection: Connection) -> Facts:
    """Raises TransportFailed when the platform gives no sensible answer."""
    done = connection.run(_SCRIPT.format(managers=" ".join(PACKAGE_MANAGERS)), timeout=30)
    own, _, release = done.out.partition("\nrelease\n")
    pairs = [line.split("=", 1) for line in own.splitlines() if "=" in line]
    said = dict(pairs)
    if not said.get("os") or not said.get("uid", "").isdigit():
        raise TransportFailed(
            f"{connection.name}: no facts could be gathered: {done.err.strip() or 'uname and id say nothing'}"
        )
    system = _os_release(release)
    arch = ARCHITECTURES.get(said["arch"], said["arch"])
    uid = int(said["uid"])
    return Facts(
        os=SYSTEMS.get(said["os"], said["os"].lower()),
        arch=THIRTY_TWO_BIT.get(arch, arch) if said.get("bits") == "32" else arch,
        libc=said.get("libc", "none"),
        init=said.get("init", "none"),
        distribution=said.get("distribution") or system.get("ID", ""),
        version=said.get("version") or system.get("VERSION_ID", ""),
        hostname=said.get("hostname", ""),
        uid=uid,
        user="root" if uid == 0 else said["user"].partition("(")[2].rstrip(")") or said["uid"],
        package_managers=tuple(PACKAGE_MANAGERS[value] for key, value in pairs if key == "manager"),
    )


def _os_release(text: str) -> dict[str, str]:
    """os-release(5): assignments with the shell's quoting; a line that is none is passed over."""
    found = {}
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        if len(words) == 1 and "=" in words[0]:
            name, _, value = words[0].partition("=")
            found[name] = value
    return found
