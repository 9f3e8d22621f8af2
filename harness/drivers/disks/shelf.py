"""The disks in the cache: which there are, built on request, and removed when nothing lies on them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from harness.compile.store import META, Entry, Store
from harness.drivers import images
from harness.drivers.disks import BOOTED, KINDS, MADE, disk_image
from harness.drivers.images import Tell
from harness.errors import ImageFailed
from harness.models.disk import DiskImage
from harness.models.serde import StrictModel

_SHELVED = (BOOTED, *KINDS)
"""What lies on another comes first, so that one prune can remove both."""


class ShelvedDisk(StrictModel):
    """`current`: what an image of that name is now; others are of earlier recipes. `size` in bytes, `created` in Unix
    seconds."""

    name: str
    kind: str
    key: str
    arch: str | None
    size: int
    created: float
    current: bool


def listed() -> list[ShelvedDisk]:
    current = _current()
    return [_described(entry, current) for kind in _SHELVED for entry in Store().entries(kind)]


def keep(image: DiskImage, owner: Path) -> None:
    """Keep `prune` from a disk for as long as the file or folder `owner` exists. Nothing for a user's own file."""
    store, place = Store(), image.path.parent
    if place.parent.parent.parent == store.root and place.parent.parent.name in KINDS:
        store.refer(Entry(place.parent.parent.name, place.name, place, {}, {}), owner)


def build(name: str, directory: Path, arch: str | None, tell: Tell, *, older_than: float | None = None) -> DiskImage:
    """The disk; made anew where it is older than so many seconds. Raises ImageFailed, too when something lies on it."""
    image = disk_image(name, directory, arch=arch, tell=tell)
    key = image.path.parent.name
    entry = Store().get(MADE, key)
    if older_than is None or entry is None or time.time() - _created(entry) < older_than:
        return image
    if not Store().prune(MADE, unused_for=0, keys={key}):
        raise ImageFailed(f"{name} is in use", hint="destroy the guests that lie on it first")
    return disk_image(name, directory, arch=arch, tell=tell)


def prune(*, everything: bool) -> tuple[list[ShelvedDisk], list[ShelvedDisk]]:
    """Remove disks of earlier recipes, or all, downloads too; those removed, and those that a guest lies on."""
    current = _current()
    store = Store()
    removed: list[ShelvedDisk] = []
    left: list[ShelvedDisk] = []
    for kind in _SHELVED:
        doomed = {
            entry.key: _described(entry, current)
            for entry in store.entries(kind)
            if everything or entry.key not in current[kind]
        }
        gone = {entry.key for entry in store.prune(kind, unused_for=0, keys=doomed)}
        for key, disk in doomed.items():
            (removed if key in gone else left).append(disk)
    return removed, left


def _current() -> dict[str, set[str]]:
    """Keys by kind. What was downloaded stays what it is."""
    keys: set[str] = set()
    if sys.platform == "linux":
        from harness.drivers.disks import debian

        for image in images.CATALOGUE.values():
            keys |= {debian.recipe(image, arch).key for arch in debian.DEBIAN_ARCH}
    store = Store()
    outdated = {entry.path for entry in store.entries(MADE) if entry.key not in keys}
    found = {kind: {entry.key for entry in store.entries(kind)} for kind in KINDS}
    # An earlier version wrote no more of one than it needed itself.
    booted = {entry.key: Path(entry.info["disk"]) for entry in store.entries(BOOTED) if "disk" in entry.info}
    fresh = {key for key, disk in booted.items() if disk.exists() and disk.parent not in outdated}
    return {**found, MADE: keys, BOOTED: fresh}


def _created(entry: Entry) -> float:
    return (entry.path / META).stat().st_mtime


def _described(entry: Entry, current: dict[str, set[str]]) -> ShelvedDisk:
    return ShelvedDisk(
        name=entry.info.get("name", entry.kind),
        kind=entry.kind,
        key=entry.key,
        arch=entry.info.get("arch"),
        size=entry.size,
        created=_created(entry),
        current=entry.key in current[entry.kind],
    )
