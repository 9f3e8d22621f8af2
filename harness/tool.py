"""One run of somebody's tool, with all that it starts: heard line by line, and ended at its deadline.

Standard library only: the wheel's build hook uses it too.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import process_group
from harness.cancellation import Cancellation
from harness.errors import HarnessError, Interrupted

_QUIET = 5.0
"""Seconds for the rest of its output, which something it left behind may keep open."""


@dataclass(frozen=True)
class ToolRun:
    """A `command` that is text is run by the shell. `env` is its whole environment, `timeout` in seconds. The receivers
    are told each line, newline and all, each from a thread of its own; without `on_stderr` that of stdout is told
    both, as they come. `failure` is raised when the tool cannot be started or does not end in time."""

    name: str
    command: Sequence[str] | str
    env: Mapping[str, str]
    cwd: Path
    timeout: float
    on_stdout: Callable[[str], None]
    cancellation: Cancellation
    failure: type[HarnessError]
    on_stderr: Callable[[str], None] | None = None


def run_tool(run: ToolRun) -> int:
    """Its exit status. Raises `run.failure`, and Interrupted."""
    expired = threading.Event()
    with _guard() as guard, _start(run) as process:
        guard(process.pid)

        def expire() -> None:
            expired.set()
            _kill(process)

        def ear(stream: Iterable[str] | None, tell: Callable[[str], None]) -> threading.Thread:
            return threading.Thread(target=_listen, args=(stream or (), tell), daemon=True)

        ears = [ear(process.stdout, run.on_stdout)]
        if run.on_stderr is not None:
            ears.append(ear(process.stderr, run.on_stderr))
        watchdog = threading.Timer(run.timeout, expire)
        watchdog.daemon = True
        try:
            for one in ears:
                one.start()
            watchdog.start()
            with run.cancellation.stopping(lambda: _kill(process)):
                _await_end(process)
        finally:
            watchdog.cancel()
            _kill(process)
            process.wait()
        for one in ears:
            one.join(_QUIET)
    if run.cancellation.called:
        raise Interrupted(f"{run.name} was called off")
    if expired.is_set():
        raise run.failure(
            f"{run.name} did not finish within {round(run.timeout, 1):g} seconds and was stopped",
            hint="raise the time limit",
        )
    return process.returncode


def _start(run: ToolRun) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            run.command,
            shell=isinstance(run.command, str),
            env=run.env,
            cwd=run.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if run.on_stderr is None else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        program = run.command if isinstance(run.command, str) else run.command[0]
        words = error.strerror if isinstance(error, OSError) else None
        raise run.failure(f"{run.name} cannot be started: {program}: {words or error}") from error


@contextlib.contextmanager
def _guard() -> Iterator[Callable[[int], None]]:
    """Even after SIGKILL to this process the tool, and the compilers below it, do not go on for nobody: the end of
    this process is the end of what the guard reads. It is there before the tool, whose pid it is then told."""
    if sys.platform == "win32":
        yield lambda pid: None
        return
    argv = ["/bin/sh", "-c", 'read -r pid && { read -r _; kill -9 "-$pid"; }']
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as guard:
        assert guard.stdin
        pipe = guard.stdin.fileno()

        def tell(pid: int) -> None:
            os.write(pipe, b"%d\n" % pid)

        try:
            yield tell
        finally:
            guard.kill()


def _listen(stream: Iterable[str], tell: Callable[[str], None]) -> None:
    for line in stream:
        tell(line)


def _await_end(process: subprocess.Popen[str]) -> None:
    """On Linux without reaping it: until then nobody else can have its process group."""
    if sys.platform == "linux":
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


def _kill(process: subprocess.Popen[str]) -> None:
    """The tool, and what it has left behind in its process group."""
    if process.returncode is None:
        process_group.kill(process)
