"""Control groups of a sandbox's own, which systemd as PID 1 needs: a folder in every hierarchy (cgroups(7))."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_DELEGATED = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks")


@dataclass
class Cgroups:
    """Folders on the host: `init` for PID 1 and the commands, `holder` for the holder, `roots` to be removed in
    the end. `mounts`: (path, type, options) inside."""

    init: list[str] = field(default_factory=list)
    holder: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)
    mounts: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Hierarchy:
    path: str
    """Where it is mounted."""
    own: str
    """This process's folder in it."""
    version: int
    options: str
    """Mount options that name it: `memory`, `cpu,cpuacct`, `none,name=systemd`; empty for version 2."""


def hierarchies(mountinfo: str, memberships: str) -> list[Hierarchy]:
    """What is mounted below /sys/fs/cgroup, from /proc/self/mountinfo and /proc/self/cgroup."""
    member = {}
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        member[frozenset(controllers.split(",")) if controllers else frozenset()] = path
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, path = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if not path.startswith("/sys/fs/cgroup") or kind not in ("cgroup", "cgroup2"):
            continue
        names = {name for name in options.split(",") if name not in ("rw", "ro", "xattr", "noprefix", "clone_children")}
        names = {name for name in names if not name.startswith("release_agent=")}
        key = frozenset(names) if kind == "cgroup" else frozenset()
        inside = PurePosixPath(member.get(key, "/"))
        relative = inside.relative_to(root) if inside.is_relative_to(root) else PurePosixPath()
        named = sorted(names)
        if any(name.startswith("name=") for name in named):
            named = ["none", *named]
        found.append(
            Hierarchy(
                path,
                str(PurePosixPath(path) / relative),
                2 if kind == "cgroup2" else 1,
                ",".join(named) if kind == "cgroup" else "",
            )
        )
    return found


def make(identifier: str, owner: int) -> Cgroups:
    """A folder of its own in every hierarchy, given to the user id `owner`. Raises OSError; nothing is left then."""
    found = hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    groups = Cgroups()
    if found and not any(one.path == "/sys/fs/cgroup" for one in found):
        groups.mounts.append(("/sys/fs/cgroup", "tmpfs", "mode=755,size=1m"))
    try:
        for one in found:
            root = Path(one.own) / f"harness-{identifier}"
            root.mkdir()
            groups.roots.append(str(root))
            _delegate(root, owner)
            if one.version == 2:
                # Version 2 lets no group with processes hand controllers down: the holder must be elsewhere.
                for name, where in (("holder", groups.holder), ("payload", groups.init)):
                    (root / name).mkdir()
                    _delegate(root / name, owner)
                    where.append(str(root / name))
            else:
                groups.init.append(str(root))
            groups.mounts.append((one.path, "cgroup2" if one.version == 2 else "cgroup", one.options))
    except OSError:
        remove(groups.roots)
        raise
    return groups


def remove(roots: list[str]) -> None:
    """Those that are empty; a second call does nothing."""
    from harness.sandbox import layers

    layers.remove_cgroups(roots)


def _delegate(folder: Path, owner: int) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):  # version 1: a new cpuset takes no process before these are set
        parent = folder.parent / name
        if (folder / name).exists() and parent.exists() and not (folder / name).read_text().strip():
            (folder / name).write_text(parent.read_text())
    os.chown(folder, owner, owner)
    for name in _DELEGATED:
        if (folder / name).exists():
            os.chown(folder / name, owner, owner)
