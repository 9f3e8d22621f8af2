# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""The private folder of one run of Ansible: whatever it and its ssh leave lies there, and goes with it.

Its name is short, for sockets live in it (108 bytes, unix(7)).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

assert sys.platform != "win32"

from harness.scratch import scratch

_LONGEST_BASE = 48
_MASTER_SECONDS = 5.0

SOCKETS = "cp"
"""Ansible's ControlPath directory, below the folder."""


@contextmanager
def private_folder() -> Iterator[Path]:
    base = Path(tempfile.gettempdir())
    if len(str(base)) > _LONGEST_BASE:
        base = Path("/tmp")
    with scratch("ansible", base=base, end=lambda folder: close_masters(folder / SOCKETS)) as folder:
        (folder / SOCKETS).mkdir(mode=0o700)
        yield folder


def close_masters(sockets: Path) -> None:
    """Ask every ssh master that listens there to end, and wait until it has."""
    with suppress(OSError):
        closing = [
            subprocess.Popen(
                ["ssh", "-F", "none", "-O", "exit", "-o", f"ControlPath={socket}", "harness"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for socket in sockets.iterdir()
        ]
        until = time.monotonic() + _MASTER_SECONDS
        for process in closing:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
