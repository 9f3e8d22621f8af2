"""Sandboxes as records, and what is left of those whose supervisor was killed: folders and control groups."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import contextlib
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path

from harness.drivers.base import InstanceRecord
from harness.drivers.native import cgroups, identity, labels
from harness.drivers.native.labels import Found, Label
from harness.errors import DriverFailed

_PATIENCE = 20.0


def folder_of(identifier: str) -> Path:
    return labels.home() / identifier


def record(found: Found) -> InstanceRecord:
    label = found.label
    detail = {
        "pid": str(found.init.pid) if found.init else "",
        "supervisor": str(found.supervisor.pid),
        "image": label.image,
        "init": label.init,
    }
    return _record(label, "running" if found.init else "stopped", detail)


def _record(label: Label, status: str, detail: dict[str, str]) -> InstanceRecord:
    return label.record_of("native", label.id, label.platform, status=status, detail=detail)


def instances() -> list[InstanceRecord]:
    """All that live, from /proc; then folders whose sandbox has died, from the label that lies in them."""
    found = labels.find()
    living = {one.label.id for one in found}
    records = [record(one) for one in found]
    folder = labels.home()
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.name not in living:
            label = _label_in(entry)
            if label is not None:
                records.append(_record(label, "dead", {"folder": str(entry)}))
    return records


def _label_in(folder: Path) -> Label | None:
    from pydantic import ValidationError

    try:
        label = Label.model_validate_json((folder / "label.json").read_text())
    except (OSError, ValidationError):
        return None
    return label if label.id == folder.name else None


def remove(identifier: str) -> None:
    """End the sandbox of this id, if it lives, and remove what is left of it. A second call does nothing."""
    for found in labels.find(identifier):
        _end(found)
    folder = folder_of(identifier)
    label = _label_in(folder)
    cgroups.remove([root for root in (label.cgroup_roots if label else []) if root.endswith(f"/harness-{identifier}")])
    if not folder.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # an ordinary user's: subordinate ids own what lies inside
        remove_tree(folder)


def wait_for_child(process: subprocess.Popen[bytes]) -> bool:
    """Whether a supervisor of this process ended in time; `Popen.wait(timeout)` would sleep in ever longer naps."""
    if process.poll() is not None:
        return True
    descriptor = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        ended = bool(poll.poll(_PATIENCE * 1000))
    finally:
        os.close(descriptor)
    if ended:
        process.wait()
    return ended


def _end(found: Found) -> None:
    labels.send(found.supervisor, signal.SIGTERM)
    if not labels.wait_gone(found.supervisor, _PATIENCE):
        for process in (found.init, found.holder, found.supervisor):
            if process is not None:
                labels.send(process, signal.SIGKILL)
        if not labels.wait_gone(found.supervisor, _PATIENCE):
            raise DriverFailed(
                f"the sandbox {found.label.id} of {found.label.platform} does not end",
                hint=f"its supervisor is process {found.supervisor.pid}; see what it waits for",
            )
    with contextlib.suppress(ChildProcessError):  # a child of this process where an earlier site in it made and kept it
        os.waitpid(found.supervisor.pid, os.WNOHANG)


def remove_tree(folder: Path) -> None:
    """Remove a tree that may hold files of subordinate ids. Raises DriverFailed."""
    command = identity.mapped_command(identity.for_this_user(), ["rm", "-rf", "--", str(folder)])
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if folder.exists():
        raise DriverFailed(f"{folder} cannot be removed: {done.stderr.strip()}")
