"""The system calls that nothing inside a sandbox may make, as a seccomp filter.

Most are refused to a process without the capability anyway; the filter is the second lock, and the only one for what
no name space divides: kernel keyrings, AF_VSOCK (which talks to the hypervisor), the kernel's log. The list follows
https://docs.docker.com/engine/security/seccomp/. Numbers: arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h. On another architecture there is no filter.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel

_X86_64 = 0xC000003E
_AARCH64 = 0xC00000B7
_ALWAYS = {  # name: (x86_64, aarch64)
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "userfaultfd": (323, 282),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_WITHOUT_USER_NAME_SPACE = {
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
}
_SOCKET = (41, 198)
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_AF_VSOCK = 40
_NEW_NAME_SPACES = 0x7E020080  # CLONE_NEW{USER,PID,NET,IPC,UTS,CGROUP,NS,TIME}
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_LOAD, _EQUAL, _GREATER_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return (
        code.to_bytes(2, sys.byteorder) + bytes((if_true, if_false)) + (value & 0xFFFFFFFF).to_bytes(4, sys.byteorder)
    )


def _refuse(number: int, errno: int) -> bytes:
    return _step(_EQUAL, number, 0, 1) + _step(_RETURN, _ERRNO | errno)


def build(machine: str, *, user_name_space: bool) -> bytes:
    """The filter for `machine` (as `uname -m`), empty where there is none.

    A 32-bit system call fails with ENOSYS: its numbers are not ours. `user_name_space`: mounts and keyrings
    are the sandbox's own there, and systemd needs them.
    """
    known = {"x86_64": (0, _X86_64), "aarch64": (1, _AARCH64)}
    if machine not in known:
        return b""
    column, audit = known[machine]
    steps = _step(_LOAD, 4) + _step(_EQUAL, audit, 1, 0) + _step(_RETURN, _ERRNO | _ENOSYS) + _step(_LOAD, 0)
    if machine == "x86_64":  # x32 calls have bit 30 set
        steps += _step(_GREATER_EQUAL, 0x40000000, 0, 1) + _step(_RETURN, _ERRNO | _ENOSYS)
    table = dict(_ALWAYS) if user_name_space else {**_ALWAYS, **_WITHOUT_USER_NAME_SPACE}
    for numbers in table.values():
        number = numbers[column]
        if number is not None:
            steps += _refuse(number, _EPERM)
    if not user_name_space:
        # clone3 passes its flags by pointer, which a filter cannot read; with ENOSYS libc falls back to clone.
        steps += _refuse(_CLONE3[column], _ENOSYS)
        flags = _step(_LOAD, 16) + _step(_ANY_BIT, _NEW_NAME_SPACES, 0, 1) + _step(_RETURN, _ERRNO | _EPERM)
        steps += _step(_EQUAL, _CLONE[column], 0, 4) + flags + _step(_RETURN, _ALLOW)
    family = _step(_LOAD, 16) + _step(_EQUAL, _AF_VSOCK, 0, 1) + _step(_RETURN, _ERRNO | _EAFNOSUPPORT)
    steps += _step(_EQUAL, _SOCKET[column], 0, 3) + family
    return steps + _step(_RETURN, _ALLOW)


def install(*, user_name_space: bool) -> None:
    """Install it in this process, for all that comes after; needs CAP_SYS_ADMIN over its user name space."""
    program = build(os.uname().machine, user_name_space=user_name_space)
    if program:
        kernel.install_filter(program)
