"""A network name space with nothing but loopback."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel, privileges


def make(*, user_name_space: bool) -> int:
    """A descriptor of a new one, loopback up; this process stays where it is.

    Loopback is brought up by whoever has CAP_NET_ADMIN over it. Root of a container lacks that over a name space of
    its own user name space, but not over one that belongs to a user name space it has made. Then root of the sandbox
    is its owner, too, and may change this network, which is its alone.
    """
    alone = user_name_space or privileges.permitted() & privileges.mask({"NET_ADMIN"})
    flags = kernel.CLONE_NEWNET if alone else kernel.CLONE_NEWNET | kernel.CLONE_NEWUSER
    told, tell = os.pipe2(os.O_CLOEXEC)
    wait, go = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(go)
        message = b"ok"
        try:
            kernel.unshare(flags, "make a network name space")
            kernel.bring_up(b"lo")
        except OSError as error:
            message = (error.strerror or str(error)).encode()
        os.write(tell, message)
        os.read(wait, 1)
        os._exit(0)
    os.close(tell)
    os.close(wait)
    message = os.read(told, 4096)
    os.close(told)
    try:
        if message != b"ok":
            raise OSError(1, message.decode(errors="replace"))
        return os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(go)
        os.waitpid(child, 0)
