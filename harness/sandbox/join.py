"""Run a command among a holder's mounts, as root of its user name space; in its working folder.

join --pid P --start-time T -- ARGV...
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel
from harness.sandbox.enter import FAILED, Request, open_process
from harness.sandbox.execute import execute


def main(arguments: list[str]) -> int:
    try:
        request = Request(arguments)
        directory = open_process(request.pid, request.start_time)
        user, mounts = (os.open(f"ns/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory) for name in ("user", "mnt"))
        folder = os.open("cwd", os.O_PATH | os.O_CLOEXEC, dir_fd=directory)
        kernel.setns(user, kernel.CLONE_NEWUSER, "join the user name space")
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        kernel.setns(mounts, kernel.CLONE_NEWNS, "join the mount name space")
        os.fchdir(folder)
        return execute(request.argv, dict(os.environ))
    except (OSError, ValueError) as error:
        os.write(2, f"harness-join: {error}\n".encode(errors="backslashreplace"))
        return FAILED
