"""Giving a new user name space its ids (user_namespaces(7))."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

Ranges = list[tuple[int, int, int]]


def map_ids(pid: int, users: Ranges, groups: Ranges, *, helper: bool) -> None:
    """(inside, outside, count) ranges for process `pid`; `helper`: by newuidmap and newgidmap.

    Raises OSError with what was refused.
    """
    for kind, ranges in (("uid", users), ("gid", groups)):
        if helper:
            numbers = [str(number) for entry in ranges for number in entry]
            status = os.spawnvp(os.P_WAIT, f"new{kind}map", [f"new{kind}map", str(pid), *numbers])
            if status != 0:
                raise OSError(1, f"map user ids: new{kind}map exited with {status}")
            continue
        if kind == "gid" and os.geteuid() != 0:
            _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/{kind}_map", "".join(f"{a} {b} {c}\n" for a, b, c in ranges))


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {path}: {os.strerror(error.errno or 0)}") from error
    finally:
        os.close(fd)
