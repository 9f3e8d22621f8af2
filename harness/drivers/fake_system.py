"""The system that the fake driver drives: a folder whose instances outlive the processes that made them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.deadline import Deadline
from harness.drivers.base import InstanceRecord
from harness.drivers.ownership import Ownership
from harness.errors import DriverFailed

if TYPE_CHECKING:
    import psutil

NAME = "fake"


class State(Ownership):
    """What the system tells of an instance; `creator` is the process that made it."""

    id: str
    platform: str
    status: Literal["creating", "running", "stopped", "frozen"]
    creator: int
    base: str = ""
    """The folder of the snapshot that it began as."""

    def record(self) -> InstanceRecord:
        detail = {"creator": str(self.creator)}
        return self.record_of(NAME, self.id, self.platform, status=self.status, detail=detail)


class System:
    """The folder that stands for the system in which instances exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instances = folder / "instances"
        self.snapshots = folder / "snapshots"

    def home(self, id: str) -> Path:
        return self.instances / id

    def states(self) -> list[State]:
        if not self.instances.is_dir():
            return []
        found = (self.state(entry.name) for entry in sorted(self.instances.iterdir()) if entry.name[0] != ".")
        return [state for state in found if state]

    def state(self, id: str) -> State | None:
        try:
            return State.model_validate_json((self.home(id) / "state.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def publish(self, state: State) -> None:
        """Make the instance known, whole from the first moment on."""
        self.instances.mkdir(parents=True, exist_ok=True)
        fresh = self.instances / f".new-{os.getpid()}-{state.id}"
        (fresh / "root").mkdir(parents=True)
        (fresh / "state.json").write_text(state.model_dump_json())
        fresh.rename(self.home(state.id))

    def update(self, state: State) -> None:
        target = self.home(state.id) / "state.json"
        fresh = target.with_suffix(".new")
        fresh.write_text(state.model_dump_json())
        fresh.replace(target)

    def remove(self, id: str) -> None:
        home = self.home(id)
        kill_processes(home)
        for part in ("root", "off", "old"):
            shutil.rmtree(home / part, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)

    def strike(self, name: str) -> int:
        """Count one more; appending a byte is atomic between processes."""
        strikes = self.folder / "strikes"
        strikes.mkdir(parents=True, exist_ok=True)
        file = strikes / hashlib.sha256(name.encode()).hexdigest()
        with file.open("ab") as stream:
            stream.write(b".")
        return file.stat().st_size


def processes_of(home: Path) -> Iterator[psutil.Process]:
    """Those that a connection to this instance started, and their children, by what Local puts in their environment."""
    import psutil

    root = str(home / "root")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get("HARNESS_INSTANCE") == root:
                yield process


def kill_processes(home: Path) -> None:
    """Until none is left: one may fork while we look."""
    import psutil

    deadline = Deadline(5)
    while not deadline.expired():
        alive = [process for process in processes_of(home) if process.status() != "zombie"]
        if not alive:
            return
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.005)


def copy_tree(source: Path, target: Path) -> None:
    """`cp -a`: owners, links, pipes and sockets too, which shutil leaves out."""
    done = subprocess.run(["cp", "-a", "--", f"{source}/.", str(target)], capture_output=True, check=False)
    if done.returncode:
        raise DriverFailed(f"copying {source} failed: {done.stderr.decode(errors='replace').strip()}")


def _reap_run(folder: str, run: str) -> None:
    system = System(Path(folder))
    for state in system.states():
        if state.run == run and not state.kept:
            system.remove(state.id)


if __name__ == "__main__":
    _reap_run(*sys.argv[1:])
