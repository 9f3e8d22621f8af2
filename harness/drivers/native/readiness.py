"""When a command could run in a sandbox."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import subprocess
from pathlib import Path

from harness.deadline import Deadline, poll
from harness.drivers.native import labels
from harness.drivers.native.labels import Living
from harness.errors import NotReady
from harness.models.endpoint import Sandbox
from harness.sandbox.command import enter_command

_UP = ("running", "degraded")


def has_pivoted(init: Living) -> bool:
    """PID 1 takes another name when its view is made; until then it is called like the interpreter."""
    try:
        name = Path(f"/proc/{init.pid}/comm").read_text().strip()
    except OSError:
        return False
    return not name.startswith("python")


def wait_for_view(name: str, init: Living, deadline: Deadline) -> None:
    """Until PID 1 has made its view: one that was started again by another process may be at it still."""

    def made(last: bool) -> bool | None:
        if has_pivoted(init):
            return True
        if not labels.alive(init):
            raise NotReady(f"{name}: its PID 1 has ended", hint="start it again, or destroy it")
        if last:
            raise NotReady(f"{name}: its view is not made after {deadline.elapsed():.1f} s")
        return None

    poll(made, deadline, interval=0.002)


def wait_for_systemd(name: str, endpoint: Sandbox, deadline: Deadline) -> None:
    """Until systemd has worked off its first jobs. Raises NotReady with its state, or its unfinished jobs."""

    def up(last: bool) -> bool | None:
        state, words = _ask(endpoint, ["systemctl", "is-system-running"], deadline)
        if state in _UP:
            return True
        if not labels.alive(labels.Living(endpoint.pid, endpoint.start_time)):
            raise NotReady(f"{name}: systemd ended while it booted", hint="`init: none` shows whether the image works")
        if last:
            _, jobs = _ask(endpoint, ["systemctl", "list-jobs", "--no-pager", "--no-legend"], Deadline(5))
            unfinished = f"; jobs: {'; '.join(jobs.split(chr(10)))}" if jobs else ""
            raise NotReady(
                f"{name}: systemd is not up after {deadline.seconds:g} s: {state or words or 'no answer'}{unfinished}"
            )
        return None

    poll(up, deadline, interval=0.05, slowest=0.2)


def _ask(endpoint: Sandbox, command: list[str], deadline: Deadline) -> tuple[str, str]:
    """The first word of its answer and everything it wrote; empty when it did not answer in time."""
    try:
        done = subprocess.run(
            enter_command(endpoint, command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=max(1.0, deadline.remaining()),
        )
    except subprocess.TimeoutExpired:
        return "", ""
    out = done.stdout.decode(errors="replace").strip()
    return out.split("\n")[0], out or done.stderr.decode(errors="replace").strip()
