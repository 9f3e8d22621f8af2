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


def problems() -> list[Problem]:
    """Of the system's daemon, or LIBVIRT_DEFAULT_URI's; what is wrong with the daemon itself is told by the libvirt
    driver."""
    virsh = shutil.which("virsh")
    if virsh is None:
        return []
    uri = os.environ.get("LIBVIRT_DEFAULT_URI") or "qemu:///system"
    try:
        asked = subprocess.run(
            [virsh, "--connect", uri, "pool-list", "--all"],
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return []
    if asked.returncode == 0 or "not supported by the connection driver" not in asked.stderr:
        return []
    return [_missing(uri, installed=any(_DRIVERS.glob(_PATTERN)))]


def _missing(uri: str, *, installed: bool) -> Problem:
    words = f"libvirtd at {uri} has no storage driver, and vagrant-libvirt keeps disks in its pools"
    if installed:
        return Problem("vagrant driver", f"{words}: it was started before that was installed", RESTART)
    return Problem("vagrant driver", words, f"{INSTALL}; then {RESTART}")
