"""Linux system calls that Python 3.11 does not offer, by ctypes. Each error names what it was doing.

Numbers and structures: include/uapi/linux/{sched,mount,prctl,capability}.h of the kernel.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_SECCOMP = 22
PR_SET_NAME = 15
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "armv7l": 218, "ppc64le": 203}
_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "armv7l": 120, "ppc64le": 120}

SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD = 1, 2, 3, 9, 10, 12, 15, 17
SIGRTMIN = 34
"""signal(7) on x86, Arm and most others (SIGRTMIN as libc leaves it);
the module `signal` costs milliseconds of start."""

_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "armv7l": 311, "ppc64le": 271}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, doing: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
    return result


def unshare(flags: int, doing: str) -> None:
    _check(_libc.unshare(flags), doing)


def setns(fd: int, flags: int, doing: str) -> None:
    _check(_libc.setns(fd, flags), doing)


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2). The paths are host paths as this process sees them."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if data is None else os.fsencode(data),
    )
    _check(result, f"mount {kind or 'bind'} on {target}")


def umount(target: str, flags: int = 0) -> None:
    _check(_libc.umount2(os.fsencode(target), flags), f"unmount {target}")


def fork_into_new_pids() -> int:
    """fork(2) into a process id name space of its own: clone(2) with CLONE_NEWPID.

    `unshare` and a fork would bind this process's later children to that name space even after its end. The
    calls around are what os.fork makes (Python's C API, "Operating System Utilities").
    """
    number = _CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(38, f"clone: its number on {os.uname().machine} is not known")
    ctypes.pythonapi.PyOS_BeforeFork()
    # PyDLL keeps the interpreter's lock, which the child must hold as well.
    pid: int = ctypes.PyDLL(None, use_errno=True).syscall(ctypes.c_long(number), CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        failed = ctypes.get_errno()
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        ctypes.set_errno(failed)
    return _check(pid, "make a process id name space")


def pivot_root(new: str, old: str) -> None:
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(38, f"pivot_root: its number on {os.uname().machine} is not known")
    _check(_libc.syscall(ctypes.c_long(number), os.fsencode(new), os.fsencode(old)), "pivot_root")


def sethostname(name: str) -> None:
    data = name.encode()
    _check(_libc.sethostname(data, ctypes.c_size_t(len(data))), f"set the host name {name}")


def prctl(option: int, doing: str, *values: int) -> int:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    return _check(_libc.prctl(option, *arguments), doing)


def bring_up(interface: bytes) -> None:
    """SIOCGIFFLAGS and SIOCSIFFLAGS (netdevice(7)) with IFF_UP; without `socket`, whose import costs milliseconds."""
    fd = _check(_libc.socket(2, 2 | os.O_CLOEXEC, 0), "open a socket")
    try:
        request = ctypes.create_string_buffer(interface, 40)
        _check(_libc.ioctl(fd, ctypes.c_ulong(0x8913), request), f"read the flags of {interface.decode()}")
        flags = int.from_bytes(request.raw[16:18], sys.byteorder) | 0x1
        ctypes.memmove(ctypes.addressof(request) + 16, flags.to_bytes(2, sys.byteorder), 2)
        _check(_libc.ioctl(fd, ctypes.c_ulong(0x8914), request), f"bring {interface.decode()} up")
    finally:
        os.close(fd)


def set_capabilities(effective: int, permitted: int) -> None:
    """capset(2), version 3; the inheritable set is emptied."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    low, high = 0xFFFFFFFF, 32
    data = (ctypes.c_uint32 * 6)(
        effective & low, permitted & low, 0, effective >> high & low, permitted >> high & low, 0
    )
    _check(_libc.capset(header, data), "set capabilities")


def install_filter(program: bytes) -> None:
    """PR_SET_SECCOMP with a classic BPF program (struct sock_filter, 8 bytes each)."""
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    whole = Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    prctl(PR_SET_SECCOMP, "install the system call filter", SECCOMP_MODE_FILTER, ctypes.addressof(whole))


def _signal_set(numbers: tuple[int, ...]) -> ctypes.Array[ctypes.c_char]:
    signals = ctypes.create_string_buffer(128)  # sizeof(sigset_t)
    _libc.sigemptyset(signals)
    for number in numbers:
        _libc.sigaddset(signals, number)
    return signals


def block_signals(numbers: tuple[int, ...]) -> None:
    """Block exactly these: they wait until a `signal_fd` is read."""
    _check(_libc.sigprocmask(2, _signal_set(numbers), None), "set the signal mask")


def signal_fd(numbers: tuple[int, ...]) -> int:
    """signalfd(2): readable when one of these, blocked before, has come; see `next_signal`."""
    return _check(_libc.signalfd(-1, _signal_set(numbers), os.O_CLOEXEC), "make a signalfd")


def next_signal(fd: int) -> int:
    """The number of the next signal; waits for it."""
    return int.from_bytes(os.read(fd, 128)[:4], sys.byteorder)


def reap_children_by_kernel() -> None:
    """With SIGCHLD ignored the kernel takes every child that ends, adopted ones too (sigaction(2), SIG_IGN)."""
    _libc.signal(SIGCHLD, ctypes.c_void_p(1))


def sleep_for_ever() -> None:
    while True:
        _libc.pause()


def leave_session_keyring() -> None:
    """Begin a session keyring of one's own: the caller's keys are possessed by whoever inherits it (keyctl(2))."""
    number = _KEYCTL.get(os.uname().machine)
    if number is not None:
        try:
            _check(_libc.syscall(ctypes.c_long(number), 1, None, 0, 0, 0), "join a new session keyring")
        except OSError as error:
            if error.errno not in (1, 38):  # refused to everyone here, or not compiled in
                raise


def rename_process(name: bytes) -> None:
    """Show `name` as this process's name and whole command line, which is otherwise its parent's."""
    short = ctypes.create_string_buffer(name[:15])
    prctl(PR_SET_NAME, "name the process", ctypes.addressof(short))
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, fields 48 and 49 of proc(5)
    if end > start:
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, name, min(len(name), end - start - 1))
