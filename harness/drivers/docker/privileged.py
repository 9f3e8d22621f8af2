"""Into a container with more rights than it was given: for faults, which must mount."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from harness.models.endpoint import DaemonAddress, Docker, Endpoint, Sandbox

_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SYS_ADMIN", "SYS_CHROOT")


def endpoint(row: dict[str, Any], address: DaemonAddress) -> Endpoint:
    """By the name spaces of its PID 1, where this is root of the daemon's own machine; else like any command, which
    may not mount. `row` is what `inspect` says of it."""
    pid = int(row["State"]["Pid"])
    plain = Docker(container=row["Id"], daemon=address)
    if sys.platform != "linux" or not address.url.startswith("unix://") or os.geteuid() != 0 or not pid:
        return plain
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        seen = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return plain
    # The daemon may live in another pid name space (a virtual machine): then this is some other process.
    if row["Id"] not in seen and row["Id"][:12] not in Path(f"/proc/{pid}/environ").read_text(errors="replace"):
        return plain
    started = int(stat.rpartition(")")[2].split()[19])  # proc(5): field 22, the start time
    capabilities = tuple(f"CAP_{name}" for name in _CAPABILITIES)
    return Sandbox(pid=pid, start_time=started, capabilities=capabilities, unconfined=True)
