"""Executing a command without importing anything: `os.execvp` and `os.spawnvp` import modules when they are called, and
by then the interpreter's own files may be out of sight or out of reach.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

NOT_EXECUTABLE = 126
NOT_FOUND = 127


def execute(argv: list[str], environment: dict[str, str]) -> int:
    """Returns only when it failed: the status to exit with."""
    name = argv[0]
    places = [""] if "/" in name else [f"{part}/" for part in environment.get("PATH", "").split(":") if part]
    status = NOT_FOUND
    for place in places:
        try:
            os.execve(place + name, argv, environment)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            continue
        except OSError as error:
            status = NOT_EXECUTABLE
            message = f"{place}{name}: {error.strerror}"
    os.write(2, f"{name}: not found\n".encode() if status == NOT_FOUND else f"{message}\n".encode())
    return status


def spawn(argv: list[str]) -> int:
    """Run a command to its end; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(execute(argv, dict(os.environ)))
        finally:
            os._exit(NOT_EXECUTABLE)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
