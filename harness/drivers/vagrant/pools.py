"""Whether libvirtd can keep disks in pools, as vagrant-libvirt does. By virsh: this driver needs no libvirt-python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness.errors import Problem

INSTALL = "apt-get install libvirt-daemon-driver-storage"
RESTART = (
    "restart it: systemctl restart libvirtd; without systemd: sudo kill $(cat /run/libvirtd.pid), then "
    "scripts/start-libvirt.sh. Guests that run go on"
)
_DRIVERS = Path("/usr/lib")
_PATTERN = "*/libvirt/connection-driver/libvirt_driver_storage.so"
_SECONDS = 20.0
_POOL = "default"
"""Where vagrant-libvirt puts disks unless told otherwise."""


def problems() -> list[Problem]:
    """Of the system's daemon, or LIBVIRT_DEFAULT_URI's; what is wrong with the daemon itself is told by the libvirt
    driver."""
    asked = _virsh("pool-list", "--all")
    if asked is None:
        return []
    if asked.returncode == 0 or "not supported by the connection driver" not in asked.stderr:
        return []
    return [_missing(_uri(), installed=any(_DRIVERS.glob(_PATTERN)))]


def _missing(uri: str, *, installed: bool) -> Problem:
    words = f"libvirtd at {uri} has no storage driver, and vagrant-libvirt keeps disks in its pools"
    if installed:
        return Problem("vagrant driver", f"{words}: it was started before that was installed", RESTART)
    return Problem("vagrant driver", words, f"{INSTALL}; then {RESTART}")


def remove_copies(prefix: str) -> bool:
    """What vagrant-libvirt copied of a box into its pool; False, and nothing is removed, where a disk lies on it."""
    listed = _virsh("vol-list", "--pool", _POOL)
    if listed is None or listed.returncode != 0:
        return True
    names = [words[0] for words in map(str.split, listed.stdout.splitlines()[2:]) if words]
    copies = [name for name in names if name.startswith(prefix)]
    for name in set(names) - set(copies) if copies else ():
        told = _virsh("vol-dumpxml", "--pool", _POOL, name)
        if told is not None and any(copy in told.stdout for copy in copies):
            return False
    for name in copies:
        _virsh("vol-delete", "--pool", _POOL, name)
    return True


def _uri() -> str:
    return os.environ.get("LIBVIRT_DEFAULT_URI") or "qemu:///system"


def _virsh(*words: str) -> subprocess.CompletedProcess[str] | None:
    """None where there is no virsh, or no answer."""
    virsh = shutil.which("virsh")
    if virsh is None:
        return None
    try:
        return subprocess.run(
            [virsh, "--connect", _uri(), *words],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
