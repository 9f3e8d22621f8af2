"""Removes what a killed process leaves: `python -m harness.drivers.watcher` with instance records on its stdin.

A daemon does not know of our death, and a dead process cleans nothing up; its pipe to this one closes, though. When
both are killed the labels still tell (`harness destroy --orphans`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

from pydantic import TypeAdapter

from harness.drivers.base import InstanceRecord

DONE = "done\n"
_RECORD = TypeAdapter(InstanceRecord)
_WAIT = """
import sys
records = []
for line in sys.stdin:
    if line == "done\\n":
        sys.exit()
    records.append(line)
if records:
    import subprocess
    subprocess.run(sys.argv[1:], input="".join(records), text=True)
"""
"""Waits without importing anything: it is started with every run, beside a daemon that is at work, and nearly always
for nothing."""


def start() -> subprocess.Popen[bytes]:
    """It waits for records, one a line, and for the end of its stdin."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAIT, sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C at our terminal is not meant for it
        cwd="/",
    )


def tell(watcher: subprocess.Popen[bytes], record: InstanceRecord) -> None:
    """Before it is made."""
    assert watcher.stdin is not None
    os.write(watcher.stdin.fileno(), _RECORD.dump_json(record) + b"\n")


def release(watcher: subprocess.Popen[bytes], *, done: bool) -> None:
    """Let it end; if all has been removed, without a look at the system."""
    assert watcher.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        if done:
            os.write(watcher.stdin.fileno(), DONE.encode())
        watcher.stdin.close()
    watcher.wait()


def main() -> None:
    records = [_RECORD.validate_json(line) for line in sys.stdin]
    from harness import registry
    from harness.errors import HarnessError

    for record in records:
        with contextlib.suppress(HarnessError):  # the others shall go all the same
            registry.driver(record.driver).reap(record)


if __name__ == "__main__":
    main()
