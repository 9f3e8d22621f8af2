"""Where snapshots of guests lie: libvirt/snapshots/NAME/VERSION in the cache folder (see drivers/versions.py)."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.cache import cache_dir
from harness.drivers import versions
from harness.drivers.base import ScenarioRef, Snapshot
from harness.drivers.disks import shelf as disk_shelf
from harness.drivers.libvirt import labels, snapshots
from harness.drivers.libvirt.snapshots import Manifest, Saved


def home() -> Path:
    return cache_dir() / "libvirt" / "snapshots"


def put(name: str, fill: Callable[[Path], Manifest]) -> Snapshot:
    """Publish what `fill` writes into the empty folder it is given. What it raises leaves nothing."""
    folder = home() / name
    draft = folder / f".{secrets.token_hex(8)}"
    draft.mkdir(mode=0o700, parents=True)
    try:
        manifest = fill(draft)
        disk_shelf.keep(manifest.image, versions.publish(folder, draft))
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        sweep(name)
        raise
    sweep(name)
    return described(manifest)


def find(name: str) -> Saved | None:
    """None where there is none, or one that can be seen to be damaged."""
    saved = _read(name)
    return saved if saved is not None and saved.is_whole() else None


def _read(name: str) -> Saved | None:
    folder = versions.current(home() / name)
    return snapshots.read(folder) if folder is not None else None


def delete(name: str, *, drafts: bool) -> None:
    """A second call does nothing; what a guest lies on goes with that. `drafts`: those too, which nobody may be
    writing any more."""
    versions.withdraw(home() / name, labels.in_use(), drafts=drafts)


def sweep(name: str) -> None:
    """Versions that have been replaced, and no guest lies on any more."""
    versions.sweep(home() / name, labels.in_use())


def sweep_of(bases: Sequence[str]) -> None:
    """What a guest lay on that has gone."""
    for base in bases:
        folder = Path(base).parent
        if folder.parent == home():
            sweep(folder.name)


def listed(scenario: ScenarioRef) -> list[Snapshot]:
    """The automatic ones, and those that people gave a name in this scenario, oldest first."""
    used: dict[str, list[str]] = {}
    for label in labels.living():
        used.setdefault(label.state, []).append(label.id)
    saved = [one for folder in versions.folders(home()) if (one := _read(folder.name)) is not None]
    found = [
        described(one.manifest, used.get(str(one.folder), ())) for one in saved if one.manifest.is_listed(scenario)
    ]
    return sorted(found, key=lambda snapshot: snapshot.created)


def described(manifest: Manifest, used: Sequence[str] = ()) -> Snapshot:
    return manifest.snapshot("libvirt", missing=manifest.missing, digest=manifest.digest, used=used)
