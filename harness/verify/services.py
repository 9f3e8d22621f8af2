"""What a service is doing, asked of systemd, OpenRC or System V init scripts, in one vocabulary."""

from __future__ import annotations

from harness.verify.seen import Init, Service

WORDS: dict[str, str] = {
    "running": "running",
    "active": "running",
    "started": "running",
    "stopped": "stopped",
    "inactive": "stopped",
    "failed": "failed",
    "enabled": "enabled",
    "disabled": "disabled",
    "masked": "masked",
    "static": "static",
    "not-found": "not-found",
    "absent": "not-found",
}
"""Every word an expectation may use, and what it means."""

_ACTIVITY = {
    "active": "running",
    "reloading": "running",
    "inactive": "stopped",
    "failed": "failed",
    "activating": "starting",
    "deactivating": "stopping",
}

_ENABLEMENT = {
    "enabled": "enabled",
    "enabled-runtime": "enabled",
    "alias": "enabled",
    "linked": "disabled",
    "linked-runtime": "disabled",
    "disabled": "disabled",
    "masked": "masked",
    "masked-runtime": "masked",
    "static": "static",
    "indirect": "static",
}

# systemd: systemctl(1) `show`; a unit made from an init script says "generated", and only `is-enabled` knows more.
# System V: LSB exit statuses of `status` (0 running, 1 and 2 dead with a pid or lock file, 3 not running).
SCRIPT = r"""
service_state() {
  if [ -d /run/systemd/system ]; then
    echo init=systemd
    systemctl show -p LoadState,ActiveState,SubState,UnitFileState,Type,Result,ExecMainStartTimestampMonotonic \
      -- "$1" 2>&1
    printf 'enabled=%s\n' "$(systemctl is-enabled -- "$1" 2>/dev/null)"
  elif [ -d /run/openrc ] && command -v rc-service >/dev/null; then
    echo init=openrc
    if rc-service --exists "$1"; then
      rc-service "$1" status >/dev/null 2>&1; echo "status=$?"
    else
      echo status=absent
    fi
    for link in /etc/runlevels/*/"$1"; do [ -e "$link" ] && echo "link=$link"; done
  elif [ -x "/etc/init.d/$1" ]; then
    echo init=sysvinit
    "/etc/init.d/$1" status >/dev/null 2>&1; echo "status=$?"
    for link in /etc/rc[S2345].d/S[0-9][0-9]"$1"; do [ -e "$link" ] && echo "link=$link"; done
  elif [ -d /etc/init.d ] && command -v service >/dev/null; then
    echo init=sysvinit; echo status=absent
  else
    echo init=none
  fi
  true
}
"""


def parse(output: str) -> Service:
    """The answer of `service_state`."""
    fields: dict[str, str] = {}
    for line in output.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            fields[key.strip()] = value.strip()
    init = Init(fields.get("init", Init.NONE.value))
    if init is Init.SYSTEMD:
        return _systemd(fields, output)
    if init is Init.NONE:
        return Service(init, frozenset(), "no init system runs here")
    return _scripts(init, fields)


def _systemd(fields: dict[str, str], output: str) -> Service:
    load, active = fields.get("LoadState", ""), fields.get("ActiveState", "")
    if not active:
        # No bus, no privilege: its own words, and no state at all, so that nothing passes.
        words = [line for line in output.splitlines() if "=" not in line]
        return Service(Init.SYSTEMD, frozenset(), "systemd did not answer: " + " ".join(words).strip())
    file_state = fields.get("UnitFileState", "")
    if file_state in ("", "generated"):
        file_state = fields.get("enabled", "")
    detail = f"{load}, {active} ({fields.get('SubState', '?')})" + (f", {file_state}" if file_state else "")
    if load == "not-found" and active == "inactive":
        return Service(Init.SYSTEMD, frozenset({"not-found"}), "systemd knows no such unit")
    states = {_ACTIVITY.get(active, active)}
    if load == "masked":
        states.add("masked")
    if file_state in _ENABLEMENT:
        states.add(_ENABLEMENT[file_state])
    ran = fields.get("ExecMainStartTimestampMonotonic", "0") not in ("", "0")
    finished = fields.get("Type") == "oneshot" and fields.get("Result") == "success" and ran
    return Service(Init.SYSTEMD, frozenset(states), detail, finished)


def _scripts(init: Init, fields: dict[str, str]) -> Service:
    status = fields.get("status", "")
    if status == "absent":
        where = "/etc/init.d" if init is Init.SYSVINIT else "OpenRC"
        return Service(init, frozenset({"not-found"}), f"there is no such service in {where}, and systemd does not run")
    activity = {"0": "running", "1": "failed", "2": "failed", "3": "stopped", "32": "failed"}.get(status)
    enabled = "enabled" if "link" in fields else "disabled"
    states = {enabled} if activity is None else {enabled, activity}
    return Service(init, frozenset(states), f"status ended with {status}, {enabled}")
