"""Memory runs out, and the kernel kills what needs it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.drivers.base import Capability
from harness.errors import Unsupported
from harness.faults.target import Target, Undo
from harness.models.endpoint import Sandbox
from harness.models.fault import Fault

_LIMITS: Mapping[int, tuple[str, ...]] = {
    1: ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    2: ("memory.max", "memory.swap.max"),
}
"""By version of the hierarchy: no memory, and no swap instead; the second file is there only with swap accounting."""


@dataclass(frozen=True)
class _Controller:
    path: Path
    version: int


def unavailable(capabilities: Collection[Capability]) -> str | None:
    """Why the kernel cannot be made to run out of memory; None where it can."""
    if Capability.OWN_CLOCK in capabilities:
        return "its kernel is not this machine's"
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux can take memory from a control group"
    found = _controller()
    if found is None:
        return "this machine has no memory controller (cgroups(7))"
    return None if os.access(found.path, os.W_OK) else f"{found.path} cannot be written"


def _controller() -> _Controller | None:
    if sys.platform == "linux":
        from harness.drivers.native.cgroups import hierarchies

        for one in hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()):
            path = Path(one.path)
            if one.version == 1 and "memory" in one.options.split(","):
                return _Controller(path, 1)
            # cgroups(7), no internal processes: only at the root may a group be made beside the processes of a parent.
            handed = path / "cgroup.subtree_control"
            if one.version == 2 and handed.exists() and "memory" in handed.read_text().split():
                return _Controller(path, 2)
    return None


def exhausted(target: Target, fault: Fault) -> Undo:
    """The runner and what it has started come into a control group that has no memory: the next page that one of them
    asks for has the kernel's OOM killer at work there. What they hold already stays charged to where it was."""
    endpoint, controller = target.site.back_door(target.instance), _controller()
    if not isinstance(endpoint, Sandbox) or controller is None:
        raise Unsupported(
            f"the fault {fault.kind}",
            by=target.name,
            hint="its processes must be this machine's own, and the harness root",
        )
    runners = list(_runners(endpoint.pid, target.name))
    if not runners:
        raise Unsupported(f"the fault {fault.kind} (no runner is at work there)", by=target.name)
    former = _group_of(runners[0], controller)
    group = controller.path / f"harness-memory-{secrets.token_hex(6)}"
    try:
        group.mkdir()
        for name in _LIMITS[controller.version]:
            if (group / name).exists():
                (group / name).write_text("0")
        for runner in runners:
            for process in _family(runner):
                _move(process, group)
    except OSError as error:
        _dissolve(group, former)
        raise Unsupported(f"the fault {fault.kind} ({error})", by=target.name) from error
    return lambda: _dissolve(group, former)


def _runners(init: int, name: str) -> Iterator[int]:
    """A runner is told its host's name by `--host NAME` as its first arguments (docs/runner-contract.md)."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            space = Path(f"/proc/{init}/ns/pid").readlink()
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[1:3] == [b"--host", name.encode()] and (process / "ns" / "pid").readlink() == space:
                yield int(process.name)


def _family(pid: int) -> list[int]:
    """It first, then its descendants."""
    import psutil

    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _group_of(pid: int, controller: _Controller) -> Path:
    """Where it belongs; the root where that cannot be seen from here."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, names, inside = line.split(":", 2)
            if ("memory" in names.split(",")) if controller.version == 1 else not names:
                place = controller.path / inside.lstrip("/")
                return place if (place / "cgroup.procs").exists() else controller.path
    return controller.path


def _move(pid: int, group: Path) -> None:
    with suppress(ProcessLookupError):
        (group / "cgroup.procs").write_text(str(pid))


def _dissolve(group: Path, former: Path) -> None:
    """Whoever has survived goes back; a second call does nothing."""
    if not group.is_dir():
        return
    for pid in (group / "cgroup.procs").read_text().split():
        with suppress(OSError):
            _move(int(pid), former)
    if sys.platform == "linux":
        from harness.drivers.native.cgroups import remove

        remove([str(group)])
