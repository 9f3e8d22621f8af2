"""How the host's file systems become a sandbox's: which overlay lies where, and what each of them hides."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

PSEUDO = frozenset(
    {
        *("proc", "sysfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs"),
        *("bpf", "pstore", "configfs", "fusectl", "hugetlbfs", "efivarfs", "binfmt_misc", "autofs", "nsfs"),
        *("rpc_pipefs", "selinuxfs", "smackfs"),
    }
)
"""File systems that hold no files of the host."""
OWN = ("/proc", "/sys", "/dev", "/run", "/tmp")
"""What a sandbox has of its own: nothing mounted there on the host is looked after."""
OTHERS = (
    *("/var/lib/docker/", "/var/lib/containers/", "/var/lib/containerd/", "/var/lib/kubelet/", "/var/lib/lxc/"),
    *("/var/lib/machines/", "/var/lib/libvirt/", "/snap/"),
)
"""Where container engines mount the file systems of others, which come and go."""
_LARGEST_COPY = 16 << 20


@dataclass(frozen=True)
class Mount:
    """A mount that can be seen, as /proc/self/mountinfo tells of it (proc(5))."""

    path: str
    kind: str
    id: int
    is_folder: bool = True


@dataclass
class Overlay:
    """At `target` a copy-on-write view of `source`; `hidden` are paths relative to it."""

    target: str
    source: str
    hidden: list[str] = field(default_factory=list)


@dataclass
class View:
    """`plain`: (path, kind, source) of what is made rather than overlaid; see `harness.sandbox.recipe`."""

    overlays: list[Overlay]
    plain: list[tuple[str, str, str]] = field(default_factory=list)


def host_mounts(mountinfo: str) -> list[Mount]:
    """The mounts below / that hold files and are not covered by another mount, shortest path first."""
    found: dict[str, Mount] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        path = _unescape(fields[4])
        if path != "/" and not _within_own(path):
            found[path] = Mount(path, after.split()[0], int(fields[0]))
    mounts = []
    for mount in sorted(found.values(), key=lambda mount: mount.path):
        if mount.kind in PSEUDO or mount.path.startswith(OTHERS):
            continue
        seen = _seen(mount.path)
        if seen is not None and seen[0] == mount.id:
            mounts.append(Mount(mount.path, mount.kind, mount.id, seen[1]))
    return mounts


def mount_points(mountinfo: str) -> list[str]:
    """Every place where something is mounted, within reach or not: a tree with one below it is no lower layer for an
    ordinary user."""
    points = {_unescape(line.split()[4]) for line in mountinfo.splitlines()}
    return sorted(points - {"/"})


def _within_own(path: str) -> bool:
    return any(path == own or path.startswith(own + "/") for own in OWN)


def _unescape(path: str) -> str:
    return os.fsdecode(os.fsencode(path).decode("unicode_escape").encode("latin-1"))


def _seen(path: str) -> tuple[int, bool] | None:
    """The id of the mount that one meets at `path`, and whether it is a folder; None where one may not go."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
            if line.startswith("mnt_id:"):
                return int(line.split()[1]), folder
    finally:
        os.close(fd)
    return None


def one_overlay(mounts: Sequence[Mount]) -> View:
    """The host's root as one overlay, every other file system as one above it (as root)."""
    view = View([Overlay("/", "/")])
    for mount in mounts:
        if mount.is_folder:
            view.overlays.append(Overlay(mount.path, mount.path))
    return view


def overlay_per_tree(cuts: Iterable[str]) -> View:
    """An overlay for every largest folder that has none of `cuts` below it; the folders above those are made anew.

    For a root that cannot be a lower layer as a whole: an ordinary user's (its submounts are locked to it), or one
    that has the upper layer's folder somewhere below.
    """
    view = View([], [("/", "dir", "/")])
    _lay(view, "/", {PurePosixPath(cut) for cut in cuts} | {PurePosixPath(own) for own in OWN})
    return view


def _lay(view: View, path: str, cuts: set[PurePosixPath]) -> None:
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        here = PurePosixPath(entry.path)
        if entry.is_symlink():
            view.plain.append((entry.path, "link", entry.path))
        elif entry.is_dir(follow_symlinks=False):
            if here in {PurePosixPath(own) for own in OWN}:
                view.plain.append((entry.path, "dir", entry.path))
                continue
            view.plain.append((entry.path, "dir", entry.path))
            if any(here in cut.parents for cut in cuts):
                _lay(view, entry.path, cuts)
            else:
                view.overlays.append(Overlay(entry.path, entry.path))
        elif _copyable(entry):
            view.plain.append((entry.path, "file", entry.path))


def _copyable(entry: os.DirEntry[str]) -> bool:
    seen = entry.stat(follow_symlinks=False)
    return stat.S_ISREG(seen.st_mode) and seen.st_size <= _LARGEST_COPY and os.access(entry.path, os.R_OK)


def drop(view: View, path: str) -> None:
    """Leave out the tree at `path` and all below: it stays an empty folder."""
    view.overlays = [one for one in view.overlays if not (one.target == path or one.target.startswith(path + "/"))]
    view.plain = [entry for entry in view.plain if not entry[0].startswith(path + "/")]


def hide(view: View, path: str) -> None:
    """Make `path` (of the host, no link on the way) look empty, or absent when it is no folder."""
    if not os.path.lexists(path):
        return
    inner = [one for one in view.overlays if one.target == path or one.target.startswith(path.rstrip("/") + "/")]
    over = [one for one in view.overlays if one not in inner and _contains(one.target, path)]
    if inner:
        drop(view, path)
    view.plain = [entry for entry in view.plain if not (entry[0] == path and entry[1] != "dir")]
    if over:
        deepest = max(over, key=lambda one: len(one.target))
        relative = path[len(deepest.target.rstrip("/")) + 1 :]
        if not any(relative == other or relative.startswith(other + "/") for other in deepest.hidden):
            deepest.hidden = [other for other in deepest.hidden if not other.startswith(relative + "/")]
            deepest.hidden.append(relative)


def _contains(folder: str, path: str) -> bool:
    return folder == "/" or path.startswith(folder + "/")
