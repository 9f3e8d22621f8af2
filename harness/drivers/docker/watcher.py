"""Removes what a killed process leaves: `python -m harness.drivers.docker.watcher` with tasks on its stdin.

The daemon does not know of our death, and a dead process cleans nothing up; its pipe to this one closes, though. When
both are killed the labels still tell (`harness destroy --orphans`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from harness.drivers.base import InstanceRecord
from harness.models.endpoint import DaemonAddress
from harness.models.serde import StrictModel

DONE = "done\n"
_WAIT = """
import sys
tasks = []
for line in sys.stdin:
    if line == "done\\n":
        sys.exit()
    tasks.append(line)
if tasks:
    import subprocess
    subprocess.run(sys.argv[1:], input="".join(tasks), text=True)
"""
"""Waits without importing anything: it is started with every run, beside a daemon that is at work, and nearly always
for nothing."""


class Task(StrictModel):
    """A container that may exist, and what goes with it."""

    daemon: DaemonAddress
    name: str
    network: str
    run: str
    project: str


def start() -> subprocess.Popen[bytes]:
    """It waits for tasks, one a line, and for the end of its stdin."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAIT, sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C at our terminal is not meant for it
        cwd="/",
    )


def tell(watcher: subprocess.Popen[bytes], address: DaemonAddress, record: InstanceRecord) -> None:
    """Before it is made."""
    assert watcher.stdin is not None
    task = Task(
        daemon=address,
        name=record.id,
        network=record.detail["network"],
        run=str(record.run),
        project=str(record.project),
    )
    os.write(watcher.stdin.fileno(), task.model_dump_json().encode() + b"\n")


def release(watcher: subprocess.Popen[bytes], *, done: bool) -> None:
    """Let it end; if all has been removed, without a look at the daemon."""
    assert watcher.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        if done:
            os.write(watcher.stdin.fileno(), DONE.encode())
        watcher.stdin.close()
    watcher.wait()


def main() -> None:
    tasks = [Task.model_validate_json(line) for line in sys.stdin]
    from docker.errors import APIError

    from harness.drivers.docker import remains

    for task in tasks:
        with remains.client(task.daemon) as client, contextlib.suppress(APIError):  # the others shall go all the same
            remains.remove(client, task.name, task.network)
            remains.remove_images(client, task.run, Path(task.project))


if __name__ == "__main__":
    main()
