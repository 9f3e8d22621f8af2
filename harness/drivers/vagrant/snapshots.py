"""Vagrant's snapshots: states of one machine, which go with it. What ours are called there stands in the project."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.atomic import write_atomically
from harness.drivers.base import ScenarioRef, Snapshot, is_automatic
from harness.drivers.vagrant import projects
from harness.drivers.vagrant.projects import Machine, Project
from harness.models.serde import StrictModel


class Taken(StrictModel):
    """`name` is Vagrant's: another one each time, so that a key always means a whole snapshot."""

    platform: str
    key: str
    name: str
    created: float

    def snapshot(self) -> Snapshot:
        return Snapshot("vagrant", self.key, self.platform, self.created, 0, digest=self.name)


_ALL = TypeAdapter(tuple[Taken, ...])


def fresh(platform: str, key: str) -> Taken:
    return Taken(platform=platform, key=key, name=f"harness-{secrets.token_hex(8)}", created=time.time())


def find(project: Project, platform: str, key: str) -> Taken | None:
    return next((one for one in _read(project) if (one.platform, one.key) == (platform, key)), None)


def put(project: Project, taken: Taken) -> None:
    """In place of the one that its key meant before."""
    with projects.locked():
        left = [one for one in _read(project) if (one.platform, one.key) != (taken.platform, taken.key)]
        _write(project, (*left, taken))


def drop(project: Project, taken: Taken) -> None:
    with projects.locked():
        _write(project, tuple(one for one in _read(project) if one != taken))


def listed(scenario: ScenarioRef) -> Iterator[tuple[Project, Machine, Taken]]:
    """The automatic ones of all projects, and those that people gave a name in this scenario, oldest first."""
    found = []
    for project in projects.everything():
        mine = (project.project, project.scenario) == (str(scenario.project), scenario.name)
        for taken in _read(project):
            machine = project.machine(taken.platform)
            if machine is not None and (mine or is_automatic(taken.key)):
                found.append((project, machine, taken))
    yield from sorted(found, key=lambda one: one[2].created)


def _file(project: Project) -> Path:
    return project.folder / "snapshots.json"


def _read(project: Project) -> tuple[Taken, ...]:
    try:
        return _ALL.validate_json(_file(project).read_bytes())
    except (OSError, ValidationError):
        return ()


def _write(project: Project, taken: tuple[Taken, ...]) -> None:
    write_atomically(_file(project), _ALL.dump_json(taken, indent=1).decode() + "\n")
