# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""A command-line tool beside Ansible: told line by line, ended with all it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

assert sys.platform != "win32"

from harness.ansible.job import AnsibleFailed
from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import CommandTimedOut, Interrupted

_LAST_WORDS = 40


@dataclass(frozen=True)
class Told:
    rc: int
    words: str
    """The last lines of what it said, stdout and stderr as they came."""


def run_tool(
    command: Sequence[str] | str,
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline: Deadline,
    cancellation: Cancellation,
    on_line: Callable[[str], None] = lambda line: None,
) -> Told:
    """Text is run by the shell. Raises AnsibleFailed where it cannot be started, CommandTimedOut, Interrupted."""
    name = command.split()[0] if isinstance(command, str) else Path(command[0]).name
    process = _start(name, command, env, cwd)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill(process)

    watchdog = threading.Timer(deadline.remaining(), expire)
    watchdog.daemon = True
    watchdog.start()
    last: deque[str] = deque(maxlen=_LAST_WORDS)
    try:
        with cancellation.stopping(lambda: _kill(process)), process:
            assert process.stdout is not None
            for line in process.stdout:
                last.append(line.rstrip())
                on_line(line.rstrip())
    finally:
        watchdog.cancel()
        _kill(process)
        process.wait()
    if cancellation.called:
        raise Interrupted(f"{name} was called off")
    if expired.is_set():
        raise CommandTimedOut(f"{name} did not end within {deadline}", stdout="\n".join(last).encode())
    return Told(process.returncode, "\n".join(line for line in last if line))


def _start(name: str, command: Sequence[str] | str, env: Mapping[str, str], cwd: Path) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            shell=isinstance(command, str),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise AnsibleFailed(f"{name} could not be started: {error}") from error


def _kill(process: subprocess.Popen[str]) -> None:
    """It leads a session of its own: what it started goes with it, also when it has ended itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
