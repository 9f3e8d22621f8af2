"""Stopping all processes of a sandbox where they are, and letting them go on."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import signal
import subprocess

from harness.drivers.native import labels
from harness.drivers.native.labels import Found
from harness.errors import DriverFailed
from harness.sandbox.command import program


def freeze(found: Found) -> bool:
    """True when it was running and stands still now."""
    if found.init is None:
        return False
    # kill(2): -1 means everyone but PID 1 and the sender, at one moment; systemd as PID 1 is stopped from outside.
    _signal_all(found, signal.SIGSTOP)
    return labels.send(found.init, signal.SIGSTOP)


def thaw(found: Found) -> None:
    if found.init is not None:
        labels.send(found.init, signal.SIGCONT)
        _signal_all(found, signal.SIGCONT)


def _signal_all(found: Found, number: int) -> None:
    endpoint = found.endpoint()
    options = ["--pid", str(endpoint.pid), "--start-time", str(endpoint.start_time), "--signal-all", str(int(number))]
    if endpoint.rootless:
        options.append("--rootless")
    done = subprocess.run(program("enter", [*options, "--cap", "KILL", "--", "-"]), capture_output=True, check=False)
    if done.returncode != 0:
        raise DriverFailed(f"{found.label.platform}: {done.stderr.decode(errors='replace').strip()}")
