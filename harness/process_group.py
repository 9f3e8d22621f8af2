"""Signals to a tool and to all that it has started: it leads a process group of its own (`start_new_session=True`).

Standard library only: the wheel's build hook uses it too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any


def interrupt(leader: subprocess.Popen[Any]) -> None:
    """As Ctrl-C does."""
    _signal(leader, "SIGINT")


def terminate(leader: subprocess.Popen[Any]) -> None:
    _signal(leader, "SIGTERM")


def kill(leader: subprocess.Popen[Any]) -> None:
    """Also what a leader has left that has ended by itself."""
    _signal(leader, "SIGKILL")


def _signal(leader: subprocess.Popen[Any], name: str) -> None:
    if sys.platform == "win32":
        leader.kill()  # no process groups, and no signal but the end
    else:
        with suppress(ProcessLookupError, PermissionError):  # nothing of it is left; on macOS nothing but zombies
            os.killpg(leader.pid, signal.Signals[name])
