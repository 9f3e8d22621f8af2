"""The sandboxes that exist, as /proc tells of them: no file of ours has to be there for this."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from harness.cache import cache_dir
from harness.drivers.ownership import Ownership
from harness.errors import DriverFailed
from harness.models.endpoint import Sandbox

MARK = b"harness-sandbox"
VARIABLE = "HARNESS_SANDBOX"


class Label(Ownership):
    """What a supervisor carries in its environment, which only its own user and root can read."""

    id: str
    platform: str
    directory: str
    image: str = ""
    """The unpacked root file system it lies on; empty for a view of the host."""
    bases: list[str] = Field(default_factory=list)
    """Folders of snapshots that it lies on."""
    init: str = "none"
    rootless: bool = False
    foreign_root: bool = False
    capabilities: list[str] = Field(default_factory=list)
    cgroups: list[str] = Field(default_factory=list)
    cgroup_roots: list[str] = Field(default_factory=list)
    environment: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Living:
    """A process, told from a later one with the same id by its start time (clock ticks since boot)."""

    pid: int
    start_time: int


@dataclass(frozen=True)
class Found:
    """A sandbox: its label, its supervisor, and what it runs: `init` is None while it is stopped."""

    label: Label
    supervisor: Living
    holder: Living | None
    init: Living | None

    def endpoint(self) -> Sandbox:
        """Raises DriverFailed when it is stopped."""
        if self.init is None:
            raise DriverFailed(f"{self.label.platform}: its PID 1 has ended", hint="start it again, or destroy it")
        label = self.label
        return Sandbox(
            pid=self.init.pid,
            start_time=self.init.start_time,
            rootless=label.rootless,
            capabilities=tuple(label.capabilities),
            cgroups=tuple(label.cgroups),
            environment=label.environment,
            foreign_root=label.foreign_root,
        )


def home() -> Path:
    """Where the sandboxes' folders lie."""
    return cache_dir() / "native" / "instances"


def make_home() -> None:
    """For nobody else: what lies there may have programs that are root's and setuid, and device nodes."""
    home().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    home().parent.chmod(0o700)
    home().mkdir(mode=0o755, exist_ok=True)


def find(identifier: str | None = None) -> list[Found]:
    """All sandboxes of this user and cache folder (or the one of this id), oldest first.

    A process counts only when it is this user's and lives among the host's own processes: what runs inside a sandbox
    may call itself what it likes.
    """
    place = home()
    here = (Path("/proc/self/ns/pid").stat().st_ino, os.geteuid())
    marked = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = Path(entry.path, "cmdline").read_bytes().split(b"\0")
                if MARK in command and (Path(entry.path, "ns/pid").stat().st_ino, entry.stat().st_uid) == here:
                    marked[int(entry.name)] = command[command.index(MARK) + 1].decode(errors="replace")
    found = []
    for pid, name in marked.items():
        if identifier in (None, name):
            sandbox = _read(pid, marked)
            if sandbox is not None and Path(sandbox.label.directory).parent == place:
                found.append(sandbox)
    return sorted(found, key=lambda one: one.label.created)


def _read(pid: int, marked: dict[int, str]) -> Found | None:
    """None for a holder (its parent has the same mark) and for what ends meanwhile."""
    try:
        state, parent, start_time = _stat(pid)
        if state == "Z" or (parent in marked and marked[parent] == marked[pid]):
            return None
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        text = next(entry for entry in environment if entry.startswith(VARIABLE.encode() + b"="))
        label = Label.model_validate_json(text.partition(b"=")[2])
    except (OSError, StopIteration, ValidationError):
        return None
    supervisor = Living(pid, start_time)
    holder = _only_child(pid)
    return Found(label, supervisor, holder, _only_child(holder.pid) if holder else None)


def read(pid: int) -> Found | None:
    """The sandbox whose supervisor is this process."""
    return _read(pid, {})


def _stat(pid: int) -> tuple[str, int, int]:
    """State, parent and start time (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[1]), int(fields[19])


def _only_child(pid: int) -> Living | None:
    for child in _children(pid):
        with contextlib.suppress(OSError):
            state, parent, start_time = _stat(child)
            if parent == pid and state != "Z":
                return Living(child, start_time)
    return None


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN, or the process has gone
        return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def alive(process: Living) -> bool:
    try:
        state, _, start_time = _stat(process.pid)
    except OSError:
        return False
    return start_time == process.start_time and state != "Z"


def send(process: Living, number: int) -> bool:
    """A signal to that very process, never to a later one with its id; false when it has gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not alive(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def wait_gone(process: Living, seconds: float) -> bool:
    """Whether it ended within this time; a zombie that waits for its parent has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return True
    try:
        if not alive(process):
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)
