"""What a process inside a sandbox may do: capability names, and giving up all others for good."""

from __future__ import annotations

import sys

assert sys.platform == "linux"


from harness.sandbox import kernel

CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
"""By number (include/uapi/linux/capability.h), without CAP_."""

DOCKER_DEFAULT = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
"""https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities"""


def mask(names: frozenset[str] | set[str]) -> int:
    """The bits of capabilities named with or without CAP_. Raises KeyError for an unknown name."""
    numbers = {name: number for number, name in enumerate(CAPABILITIES)}
    bits = 0
    for name in names:
        bits |= 1 << numbers[name.upper().removeprefix("CAP_")]
    return bits


def limit(bits: int) -> None:
    """Keep these capabilities at most, in this process and everything it will ever execute."""
    kernel.prctl(kernel.PR_CAP_AMBIENT, "clear the ambient capabilities", kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        try:
            held = kernel.prctl(kernel.PR_CAPBSET_READ, "read the capability bounding set", number)
        except OSError:  # EINVAL: the kernel knows no capability of this number
            break
        if held and not bits >> number & 1:
            kernel.prctl(kernel.PR_CAPBSET_DROP, "drop a capability", number)
        if not held:
            bits &= ~(1 << number)
    kernel.set_capabilities(bits & permitted(), bits & permitted())


def permitted() -> int:
    """The permitted capabilities of this process."""
    with open("/proc/thread-self/status", "rb") as status:
        for line in status:
            if line.startswith(b"CapPrm:"):
                return int(line.split()[1], 16)
    raise OSError(2, "read the permitted capabilities from /proc: no such line")
