"""Who uses which machine: one file for each in the user's cache folder, so that two runs never meet on one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import ValidationError

from harness.cache import cache_dir
from harness.drivers.base import InstanceRecord, PlatformSpec, RunId, ScenarioRef
from harness.drivers.ownership import Ownership
from harness.errors import DriverFailed, Locked


class Claim(Ownership):
    """A machine in use. `pid` and `started` (as `_started` tells it) are those of the process that took it."""

    id: str
    place: str
    platform: str
    pid: int
    started: float

    def record(self) -> InstanceRecord:
        return self.record_of("ssh", self.id, self.platform, status="adopted", detail={"place": self.place})

    def is_stale(self) -> bool:
        """Taken for the life of a process that has ended."""
        if self.kept:
            return False
        with contextlib.suppress(psutil.Error):
            return abs(_started(self.pid) - self.started) > 1.5
        return True


def _started(pid: int) -> float:
    """Seconds; on Linux since boot, for there a process's Unix time goes with a clock that is set. Raises psutil.Error.

    The kernel's own time of booting, in whole seconds, may move by one."""
    began = psutil.Process(pid).create_time()
    return began - psutil.boot_time() if sys.platform == "linux" else began


def identify(address: str, port: int, through: str) -> str:
    """The same for every way to spell the same machine that needs no network to be told."""
    text = f"{address.lower().rstrip('.')}:{port}:{through}"
    return f"ssh-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def claim(
    identifier: str, place: str, spec: PlatformSpec, scenario: ScenarioRef, run: RunId, *, kept: bool, now: float
) -> Claim:
    """Raises Locked when another run, or another platform of this one, has it."""
    wanted = Claim(
        id=identifier,
        place=place,
        platform=spec.name,
        scenario=scenario.name,
        project=str(scenario.project),
        run=str(run),
        kept=kept,
        pid=os.getpid(),
        started=_started(os.getpid()),
        created=now,
    )
    try:
        with _only_one():
            holder = find(identifier)
            if holder is not None and not holder.is_stale():
                raise _taken(spec, holder, wanted)
            _write(wanted)
    except OSError as error:
        raise DriverFailed(f"{spec.name}: {_folder()} cannot be written: {error.strerror or error}") from error
    return wanted


def _taken(spec: PlatformSpec, holder: Claim, wanted: Claim) -> Locked:
    if (holder.project, holder.scenario, holder.run) == (wanted.project, wanted.scenario, wanted.run):
        return Locked(
            f"{spec.name}: {holder.place} is the machine of the platform {holder.platform}, too",
            hint="one machine can be one platform only",
        )
    who = f"the scenario {holder.scenario} of {holder.project}"
    if holder.kept:
        return Locked(
            f"{spec.name}: {holder.place} is kept by {who}",
            hint=f"harness destroy -s {holder.scenario}, there, gives it back (nothing happens to the machine)",
        )
    return Locked(f"{spec.name}: {holder.place} is in use by {who}, process {holder.pid}", hint="wait until it ends")


def find(identifier: str) -> Claim | None:
    try:
        return Claim.model_validate_json((_folder() / f"{identifier}.json").read_text())
    except (OSError, ValidationError):
        return None


def all_claims() -> list[Claim]:
    folder = _folder()
    names = sorted(file.stem for file in folder.glob("ssh-*.json")) if folder.is_dir() else []
    found = [find(name) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: one.created)


def release(identifier: str, run: RunId) -> None:
    """A second call does nothing."""
    with _only_one():
        holder = find(identifier)
        if holder is not None and holder.run == str(run):
            (_folder() / f"{identifier}.json").unlink(missing_ok=True)


def _write(wanted: Claim) -> None:
    from harness.atomic import write_atomically

    write_atomically(_folder() / f"{wanted.id}.json", wanted.model_dump_json(indent=1) + "\n")


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    from filelock import FileLock

    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(_folder() / "claims.lock", timeout=30):
        yield


def _folder() -> Path:
    return cache_dir() / "ssh"
