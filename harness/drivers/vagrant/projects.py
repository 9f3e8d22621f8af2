"""Vagrant projects of ours: one folder for each, which tells whose it is before anything in it exists.

    vagrant/home                         VAGRANT_HOME of boxes that are built here: a user's own are never touched
    vagrant/projects/NAME/project.json   the label
    vagrant/projects/NAME/Vagrantfile
    vagrant/projects/NAME/.vagrant       Vagrant's own state: which machines it has made
    vagrant/projects/NAME/known_hosts-PLATFORM, snapshots.json, vagrant.log

All of it lies in the cache folder.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from harness.atomic import write_atomically
from harness.cache import cache_dir
from harness.drivers.base import InstanceRecord, RunId, ScenarioRef
from harness.drivers.ownership import Ownership
from harness.errors import DriverFailed
from harness.models.serde import StrictModel

_NAME = re.compile(r"harness-[0-9a-f]{10}-[A-Za-z0-9-]{1,32}(\.[0-9]+)?")


class Machine(StrictModel):
    """A platform and the machine of the Vagrantfile that it is."""

    platform: str
    machine: str
    provider: str
    uri: str | None = None
    """Of libvirt, where that is the provider and the scenario names one."""


class Project(Ownership):
    """`root`: the folder that Vagrant takes relative paths from."""

    name: str
    root: str
    own_home: bool
    """Its boxes are ours: it lives under our VAGRANT_HOME."""
    machines: tuple[Machine, ...]
    own: str | None = None
    """The Vagrantfile of the user's that ours stands around."""
    bare: bool = False
    """With a Vagrantfile that only names the machines, where the user's has gone: enough to destroy them."""

    @property
    def folder(self) -> Path:
        return _folder() / self.name

    @property
    def vagrantfile(self) -> Path:
        return self.folder / ("Vagrantfile.bare" if self.bare else "Vagrantfile")

    @property
    def log(self) -> Path:
        return self.folder / "vagrant.log"

    def machine(self, platform: str) -> Machine | None:
        return next((one for one in self.machines if one.platform == platform), None)

    def has_made(self, machine: Machine) -> bool:
        """Whether Vagrant has written down that it exists."""
        return (self.folder / ".vagrant" / "machines" / machine.machine / machine.provider / "id").exists()

    def record(self, machine: Machine, status: str) -> InstanceRecord:
        detail = {"folder": str(self.folder), "provider": machine.provider}
        return self.record_of(
            "vagrant", f"{self.name}/{machine.platform}", machine.platform, status=status, detail=detail
        )


def home() -> Path:
    return cache_dir() / "vagrant" / "home"


def prefix(scenario: ScenarioRef, run: RunId) -> str:
    """Unique on this machine: the names of what a provider makes begin with it."""
    digest = hashlib.sha256(f"{scenario.project}\0{scenario.name}\0{cache_dir()}".encode()).hexdigest()[:10]
    return f"harness-{digest}-{run}"


def announce(project: Project, vagrantfile: str) -> None:
    """Written down before anything is made. Raises DriverFailed."""
    try:
        project.folder.mkdir(mode=0o700, parents=True)
        write_atomically(project.folder / "project.json", project.model_dump_json(indent=1) + "\n")
        write_atomically(project.vagrantfile, vagrantfile)
    except OSError as error:
        shutil.rmtree(project.folder, ignore_errors=True)
        raise DriverFailed(f"{project.folder} cannot be written: {error.strerror or error}") from error


def free_name(scenario: ScenarioRef, run: RunId) -> str:
    """For another project of this run; one site at a time makes them."""
    first = prefix(scenario, run)
    names = [first, *(f"{first}.{number}" for number in range(2, 1000))]
    return next(name for name in names if not (_folder() / name).exists())


def find(name: str) -> Project | None:
    if not _NAME.fullmatch(name):
        return None
    try:
        found = Project.model_validate_json((_folder() / name / "project.json").read_text())
    except (OSError, ValidationError):
        return None
    return found if found.name == name else None


def of_instance(identifier: str) -> tuple[Project, Machine] | None:
    """By an instance's id; None where it has gone."""
    name, _, platform = identifier.partition("/")
    project = find(name)
    machine = project.machine(platform) if project is not None else None
    return None if project is None or machine is None else (project, machine)


def everything() -> list[Project]:
    folder = _folder()
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    found = [find(name) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: one.created)


def forget(project: Project, machines: Sequence[Machine]) -> None:
    """They are gone; the folder goes with its last machine."""
    with locked():
        now = find(project.name)
        if now is None:
            return
        left = tuple(one for one in now.machines if one not in machines)
        if left:
            label = now.model_copy(update={"machines": left})
            write_atomically(now.folder / "project.json", label.model_dump_json(indent=1) + "\n")
        else:
            shutil.rmtree(now.folder, ignore_errors=True)


@contextmanager
def locked() -> Iterator[None]:
    """Of several processes, one changes a label at a time."""
    from filelock import FileLock

    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(_folder() / "labels.lock", timeout=30):
        yield


def _folder() -> Path:
    return cache_dir() / "vagrant" / "projects"
