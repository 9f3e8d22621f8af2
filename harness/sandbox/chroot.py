"""A chroot is no place for a sandbox: the name space's own root stays behind it, and what enters a sandbox lands there.

pivot_root(2) replaces the root of the calling process; setns(2) sets the root of whoever enters to the name space's.
In a chroot these are two, and a command "inside" would run on the real root.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel

IN_A_CHROOT = "this process is in a chroot"


def refuse() -> None:
    """Raises OSError in a chroot. To be called in a mount name space of one's own; the working folder stays."""
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    space = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Joining one's own name space changes nothing but root and working folder: both become the name space's root.
        kernel.setns(space, kernel.CLONE_NEWNS, "find the root of the mount name space")
        outer = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(root)
        os.chroot(".")
        chrooted = _identity(root) != _identity(outer)
        os.close(outer)
        os.fchdir(here)
    finally:
        for fd in (here, root, space):
            os.close(fd)
    if chrooted:
        raise OSError(1, f"{IN_A_CHROOT}, where no sandbox can be shut off from the real root")


def _identity(fd: int) -> tuple[int, int, str]:
    """Device, inode, and the mount (proc(5), /proc/PID/fdinfo), which tells a bind mount of the root from the root."""
    status = os.fstat(fd)
    info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(info, 4096).decode().splitlines()
    finally:
        os.close(info)
    mount = next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
    return status.st_dev, status.st_ino, mount
