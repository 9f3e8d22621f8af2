"""What cannot be done where the host's root owns the files and we are not it: an ordinary user's view of the host.

There root's files belong to nobody, so a task that must change them is refused before it runs, with the cure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import Problem
from harness.models.runner import Payload, PayloadTask

_NEEDS_ROOT = {
    **dict.fromkeys(("package", "apt", "dnf", "yum", "apk", "pacman", "zypper"), "installs packages"),
    **dict.fromkeys(("service", "systemd", "systemd_service", "sysvinit"), "changes services"),
    **dict.fromkeys(("user", "group"), "changes users"),
}
_WRITES = {
    "file": ("path", "dest", "name"),
    "lineinfile": ("path", "dest"),
    **dict.fromkeys(("copy", "template", "unarchive", "get_url", "archive", "git"), ("dest",)),
}
_OWN = ("/tmp", "/var/tmp", "/run", "/dev/shm")
"""What every sandbox has for itself."""
_WHY = "in an ordinary user's view of this machine root's files belong to nobody"
_CURE = "use `image: debian-12` on the platform, where you are root, or run harness as root"


def refusals(payload: Payload, host: str) -> list[Problem]:
    """Every task of the payload that the host cannot do, by its task id."""
    found = []
    for task in _tasks(payload):
        reason = _reason(task)
        if reason is not None:
            found.append(Problem(host, f"task {task.task_id} {reason}, but {_WHY}", _CURE))
    return found


def _tasks(payload: Payload) -> Iterator[PayloadTask]:
    for play in payload.plays:
        yield from play.tasks
        yield from play.handlers


def _reason(task: PayloadTask) -> str | None:
    module = task.module.rpartition(".")[2]
    if module in _NEEDS_ROOT:
        return _NEEDS_ROOT[module]
    if task.become and task.become_user not in (None, "root"):
        return f"becomes {task.become_user}"
    for name in _WRITES.get(module, ()):
        path = task.args.get(name)
        if isinstance(path, str) and path.startswith("/") and "{{" not in path and not _writable(Path(path)):
            return f"writes {path}"
    return None


def _writable(path: Path) -> bool:
    """As this user: the view has the host's owners and modes. Nothing of a home is there, so all of it is ours."""
    homes = [Path.home(), Path("/root")]
    if any(path.is_relative_to(own) for own in [*map(Path, _OWN), *homes]):
        return True
    nearest = next(one for one in (path, *path.parents) if one.exists())
    return nearest == Path("/") or os.access(nearest, os.W_OK)
