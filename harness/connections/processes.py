"""Processes of this host, and of platforms whose processes this host can see."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from harness.deadline import Deadline

assert sys.platform != "win32"


def host_pid(ancestor: int, inner: int) -> int | None:
    """The pid, as seen from here, of the process below (or at) `ancestor` that has the pid `inner` in its own pid
    name space (the last NSpid of /proc/PID/status, proc(5))."""
    for pid in [ancestor, *descendants(ancestor)]:
        if _innermost_pid(pid) == inner:
            return pid
    return None


def descendants(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def kill_below(pid: int, *, seconds: float = 5.0, goes_on: bool = False) -> None:
    """SIGKILL to all descendants of `pid` and to everything in their sessions, except its own session.

    One that `goes_on` may have new children as soon as the first have gone: those are left alone.
    """
    own = {os.getsid(0), _session(pid)}
    sessions: set[int] = set()
    known: set[int] = set()
    deadline = Deadline(seconds)
    while not deadline.expired():
        known |= {child for top in (known if goes_on and known else {pid}) for child in descendants(top)}
        sessions |= {session for child in known if (session := _session(child)) not in own and session > 0}
        targets = {target for target in known | set(members(sessions)) if not _is_zombie(target)}
        if not targets:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: no shell tells that its child was killed
            for target in targets:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(target, number)
        time.sleep(0.002)


def kill_session(leader: int, *, seconds: float = 5.0) -> None:
    """SIGKILL to the session of `leader`, again while it forks."""
    session = _session(leader)
    if session <= 0 or session == os.getsid(0):
        return
    deadline = Deadline(seconds)
    while not deadline.expired():
        alive = [pid for pid in members({session}) if not _is_zombie(pid)]
        if not alive:
            return
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def members(sessions: set[int]) -> list[int]:
    import psutil

    return [pid for pid in psutil.pids() if _session(pid) in sessions] if sessions else []


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


def _is_zombie(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _innermost_pid(pid: int) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except OSError:
        pass
    return pid
