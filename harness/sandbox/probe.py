"""Whether a sandbox could be made here: tries each step in a process of its own and leaves nothing behind.

probe FOLDER [root]       one line on stdout: `ok`, or the step that failed and the kernel's word for it
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
from collections.abc import Callable

from harness.sandbox import chroot, kernel, network


def main(arguments: list[str]) -> int:
    folder = arguments[0]
    try:
        if "root" not in arguments:
            users = [(0, os.geteuid(), 1)], [(0, os.getegid(), 1)]
            kernel.unshare(kernel.CLONE_NEWUSER, "make a user name space")
            map_ids_of_self(*users)
        kernel.unshare(kernel.CLONE_NEWNS, "make a mount name space")
        chroot.refuse()
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        os.close(network.make(user_name_space="root" not in arguments))
        kernel.unshare(kernel.CLONE_NEWPID, "make a process id name space")
        kernel.unshare(kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC, "make host name and ipc name spaces")
        kernel.mount("tmpfs", folder, "tmpfs", 0, "size=1m,mode=755")
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{folder}/{name}")
        in_a_child(lambda: kernel.mount("proc", "/proc", "proc"))
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        if "root" not in arguments:
            options += ",userxattr"
        kernel.mount("overlay", f"{folder}/merged", "overlay", 0, options)
    except OSError as error:
        print(error.strerror or error)
        return 1
    print("ok")
    return 0


def in_a_child(step: Callable[[], None]) -> None:
    """The first child is the one that is in the new process id name space, whose /proc this is about."""
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            step()
        except OSError as error:
            os.write(write, f"{error.errno} {error.strerror}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        number, _, words = pipe.read().partition(" ")
    os.wait()
    if number:
        raise OSError(int(number), words)


def map_ids_of_self(users: list[tuple[int, int, int]], groups: list[tuple[int, int, int]]) -> None:
    """One id each: that much a process may map for itself (user_namespaces(7))."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", "{} {} {}".format(*users[0])),
        ("gid_map", "{} {} {}".format(*groups[0])),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        except OSError as error:
            raise OSError(error.errno, f"write {name}: {os.strerror(error.errno or 0)}") from error
        finally:
            os.close(fd)
