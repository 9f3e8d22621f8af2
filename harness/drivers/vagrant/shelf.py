"""The boxes that were made of our images: which there are, what they take, and their removal with the copies that
vagrant-libvirt has made of them."""

from __future__ import annotations

import platform
import shutil
import sys

from filelock import FileLock

from harness.compile.store import Store
from harness.drivers import images
from harness.drivers.disks import MADE
from harness.drivers.sshd import Keys
from harness.drivers.trees import space_taken
from harness.drivers.vagrant import boxes, pools, projects
from harness.drivers.vagrant.boxes import Box
from harness.drivers.vagrant.projects import home
from harness.models.serde import StrictModel


class ShelvedBox(StrictModel):
    """`current`: what is made of the image now; others are of earlier ones. `size` in bytes, without copies; `created`
    in Unix seconds; `used`: the platforms that lie on it."""

    name: str
    version: str
    size: int
    created: float
    current: bool
    used: list[str]

    @property
    def box(self) -> Box:
        return Box(self.name, self.version, kvm=False)


def listed() -> list[ShelvedBox]:
    current = _current()
    return [_described(box, current) for box in _boxes()]


def prune(*, everything: bool) -> tuple[list[ShelvedBox], list[ShelvedBox]]:
    """Remove boxes of earlier images, or all; those removed, and those that a machine lies on."""
    removed: list[ShelvedBox] = []
    left: list[ShelvedBox] = []
    if not home().is_dir():
        return removed, left
    with FileLock(f"{home()}.lock"):
        for found in listed():
            if found.current and not everything:
                continue
            if found.used or not pools.remove_copies(found.box.copies):
                left.append(found)
                continue
            folder = found.box.folder.parent
            shutil.rmtree(folder)
            if not any(entry.is_dir() for entry in folder.parent.iterdir()):
                shutil.rmtree(folder.parent)
            removed.append(found)
    return removed, left


def _boxes() -> list[Box]:
    folder = home() / "boxes"
    found = sorted(folder.glob("*/*/libvirt")) if folder.is_dir() else []
    return [Box(Box.unescaped(place.parent.parent.name), place.parent.name, kvm=False) for place in found]


def _described(box: Box, current: set[Box]) -> ShelvedBox:
    return ShelvedBox(
        name=box.name,
        version=box.version,
        size=sum(space_taken(file) for file in box.folder.iterdir()),
        created=box.folder.stat().st_mtime,
        current=box in current,
        used=[f"{one.project}: {one.machines[0].platform}" for one in projects.everything() if _names(one, box)],
    )


def _names(project: projects.Project, box: Box) -> bool:
    try:
        return project.own_home and box.version in project.vagrantfile.read_text(encoding="utf-8")
    except OSError:
        return False


def _current() -> set[Box]:
    """Of disks that are there; a disk that is made anew has another content, and so another box."""
    found: set[Box] = set()
    if sys.platform != "linux" or not (home() / "box-keys").is_dir():
        return found
    from harness.drivers.disks import debian

    keys = Keys.at(home() / "box-keys")
    for image in images.CATALOGUE.values():
        entry = Store().get(MADE, debian.recipe(image, platform.machine()).key)
        if entry is not None:
            found.add(boxes.of(debian.described(entry), keys, kvm=False))
    return found
