"""Run a command as root of a new user name space: how files of subordinate ids are made and removed.

    mapped [--helper] (--user|--group) INSIDE,OUTSIDE,COUNT ... -- ARGV...

Exit status: the command's own; 125 when there is no such name space.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel
from harness.sandbox.execute import execute
from harness.sandbox.users import Ranges, map_ids


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    options, argv = arguments[:split], arguments[split + 1 :]
    helper = "--helper" in options
    values = [option for option in options if option != "--helper"]
    ranges: dict[str, Ranges] = {"--user": [], "--group": []}
    for name, value in zip(values[::2], values[1::2], strict=True):
        inside, outside, count = (int(part) for part in value.split(","))
        ranges[name].append((inside, outside, count))
    ready, tell = os.pipe()
    answer, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready)
        os.close(say)
        _become(argv, tell, answer)
    os.close(tell)
    os.close(answer)
    try:
        if os.read(ready, 1):
            map_ids(child, ranges["--user"], ranges["--group"], helper=helper)
            os.write(say, b"1")
    except OSError as error:
        os.write(2, f"harness-mapped: {error.strerror}\n".encode())
    os.close(say)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _become(argv: list[str], tell: int, answer: int) -> None:
    """In the child; never returns."""
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, "tie the command to this process", kernel.SIGKILL)
        kernel.unshare(kernel.CLONE_NEWUSER, "make a user name space")
        os.write(tell, b"1")
        if os.read(answer, 1):
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            # Not os.execvp: it imports a module, and the new root may not be able to read this interpreter's.
            os._exit(execute(argv, dict(os.environ)))
    except OSError as error:
        os.write(2, f"harness-mapped: {error.strerror}\n".encode())
    finally:
        os._exit(125)
