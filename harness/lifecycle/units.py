"""Whether systemd's units are confined on a platform as they ask to be.

Where it may not mount (a capability, a system call filter or AppArmor forbids it), systemd starts a unit without its
PrivateTmp= and ProtectSystem= and says nothing: systemd.exec(5), "Sandboxing". A test of such a service would pass for nothing.
"""

from __future__ import annotations

from harness.connections.base import Connection

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
    "systemd must be allowed to mount: no `cap_drop: [SYS_ADMIN]`, no seccomp or AppArmor profile in `security_opts`; "
    "tests of confined services prove nothing here"
)


def unconfined(connection: Connection) -> list[str]:
    """The settings that do not apply, sorted; none where there is no systemd. Raises TransportFailed, CommandTimedOut."""
    said = set(connection.run(_PROBE, user="root", timeout=_SECONDS).out.split())
    return sorted(_ASKED - said) if "asked" in said else []
