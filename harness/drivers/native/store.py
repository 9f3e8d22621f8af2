"""Snapshots on disk: the changes of a sandbox, as read-only lower layers of a later one.

    snapshots/NAME/VERSION/manifest.json     (see drivers/versions.py)
    snapshots/NAME/VERSION/LAYER/0, 1, ...   the newest first

A version is never changed; one that a living sandbox lies on is not removed.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import ValidationError

from harness.cache import cache_dir
from harness.drivers import manifests, versions
from harness.drivers.base import ScenarioRef, Snapshot
from harness.drivers.native import labels, remains
from harness.drivers.trees import tree_digest
from harness.errors import DriverFailed

_ROOT, _PLAIN = "root", "plain"


class Manifest(manifests.Manifest):
    image: str
    rootless: bool
    missing: list[str]
    digest: str = ""
    """Of the layers, as `trees.tree_digest` has it; empty in those of before it was written down."""


@dataclass(frozen=True)
class Version:
    folder: Path
    manifest: Manifest

    def targets(self) -> set[str]:
        """Where its layers lie; "" is what was made rather than overlaid."""
        return {layer_target(entry.name) for entry in self.folder.iterdir() if entry.is_dir()}

    def is_whole(self) -> bool:
        """Whether nothing has been done to its layers since."""
        try:
            return layers_digest(self.folder) == self.manifest.digest
        except OSError:
            return False

    def layers(self, target: str) -> list[str]:
        folder = self.folder / layer_name(target)
        return [str(one) for one in sorted(folder.iterdir(), key=lambda one: int(one.name))] if folder.is_dir() else []


def layer_name(target: str) -> str:
    """A folder name for an overlay's place: `/` is `root`, `/var/lib` is `at-var%2Flib`, "" is `plain`."""
    if target in ("", "/"):
        return _ROOT if target else _PLAIN
    return "at-" + quote(target.strip("/"), safe="")


def layer_target(name: str) -> str:
    if name in (_ROOT, _PLAIN):
        return "/" if name == _ROOT else ""
    return "/" + unquote(name.removeprefix("at-"))


def layers_digest(folder: Path) -> str:
    layers = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    return hashlib.sha256(json.dumps([[entry.name, tree_digest(entry)] for entry in layers]).encode()).hexdigest()


def home() -> Path:
    return cache_dir() / "native" / "snapshots"


def open_version(name: str) -> Version:
    """Raises DriverFailed when there is none."""
    version = _read(home() / name)
    if version is None:
        raise DriverFailed("there is no such snapshot", hint="`harness snapshot list` shows those there are")
    return version


def _read(folder: Path) -> Version | None:
    current = versions.current(folder)
    try:
        if current is None:
            return None
        return Version(current, Manifest.model_validate_json((current / "manifest.json").read_text()))
    except (OSError, ValidationError):
        return None


def publish(name: str, draft: Path, manifest: Manifest) -> Version:
    """Make a finished draft (a folder in `home() / name`) the current version, in one step."""
    (draft / "manifest.json").write_text(manifest.model_dump_json(indent=1))
    folder = home() / name
    final = versions.publish(folder, draft)
    sweep(folder)
    return Version(final, manifest)


def sweep(folder: Path) -> None:
    """Remove versions that are neither current nor in use."""
    versions.sweep(folder, _used(), discard)


def _used() -> set[str]:
    return {base for found in labels.find() for base in found.label.bases}


def discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        remains.remove_tree(folder)


def delete(name: str, *, drafts: bool = False) -> None:
    """A second call does nothing. What a living sandbox lies on goes with that. `drafts`: those too, which nobody
    may be writing any more."""
    versions.withdraw(home() / name, _used(), discard, drafts=drafts)


def listed(scenario: ScenarioRef) -> list[Snapshot]:
    """The automatic ones, and those that people gave a name in this scenario, oldest first."""
    used: dict[str, list[str]] = {}
    for living in labels.find():
        for base in living.label.bases:
            used.setdefault(base, []).append(living.label.id)
    saved = [version for folder in versions.folders(home()) if (version := _read(folder)) is not None]
    found = [
        described(one.manifest, used.get(str(one.folder), ())) for one in saved if one.manifest.is_listed(scenario)
    ]
    return sorted(found, key=lambda snapshot: snapshot.created)


def find(name: str) -> Snapshot | None:
    """None where there is none, or one that has been damaged."""
    version = _read(home() / name)
    return described(version.manifest) if version is not None and version.is_whole() else None


def images() -> list[str]:
    """The root file systems that snapshots lie on."""
    saved = [_read(folder) for folder in versions.folders(home())]
    return [version.manifest.image for version in saved if version is not None and version.manifest.image]


def described(manifest: Manifest, used: Sequence[str] = ()) -> Snapshot:
    return manifest.snapshot("native", missing=manifest.missing, digest=manifest.digest, used=used)
