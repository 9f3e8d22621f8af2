"""What every domain and network of ours carries in its metadata, known before it is made, and where its files lie."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from harness.cache import cache_dir
from harness.drivers.base import InstanceRecord, RunId, ScenarioRef
from harness.drivers.libvirt.domain import METADATA
from harness.drivers.ownership import Ownership
from harness.errors import DriverFailed
from harness.models.disk import DiskImage

if TYPE_CHECKING:
    from collections.abc import Sequence


class Label(Ownership):
    """The whole of what a later process has to know of an instance. `kind`: domain or network."""

    id: str
    """The domain's (or network's) own name."""
    kind: str = "domain"
    uri: str
    cache: str
    """Whose it is: the user's cache folder. Others may use the same libvirtd."""
    platform: str
    emulated: bool = False
    """By QEMU alone, without KVM: everything takes its time."""
    image: DiskImage | None = None
    network: str = ""
    """The run's own network that it is on."""
    bases: list[str] = Field(default_factory=list)
    """Files that its disk lies on."""
    state: str = ""
    """The folder of the snapshot that it started from; among `bases`, too."""


def scenario_digest(scenario: ScenarioRef) -> str:
    return hashlib.sha256(f"{scenario.project}\0{scenario.name}".encode()).hexdigest()[:10]


def group_name(scenario: ScenarioRef, run: RunId) -> str:
    """Of the run's own network."""
    return f"harness-{scenario_digest(scenario)}-{run}"


def domain_name(scenario: ScenarioRef, run: RunId, platform: str) -> str:
    return f"{group_name(scenario, run)}-{platform}"


def home() -> Path:
    """Where the instances' folders lie."""
    return cache_dir() / "libvirt" / "instances"


def folder_of(identifier: str) -> Path:
    return home() / identifier


def sockets_of(identifier: str) -> Path:
    """The folder of its sockets, of a path short enough for one (unix(7): 108 bytes); all of a cache folder's begin
    alike."""
    name = "-".join(hashlib.sha256(text.encode()).hexdigest()[:10] for text in (str(cache_dir()), identifier))
    return _runtime() / name


def _runtime() -> Path:
    if sys.platform != "win32":
        if os.geteuid() == 0 and Path("/run").is_dir():
            return Path("/run/harness-e2e")
        own = os.environ.get("XDG_RUNTIME_DIR")
        if own and Path(own).is_dir():
            return Path(own) / "harness-e2e"
        return Path(tempfile.gettempdir()) / f"harness-e2e-{os.geteuid()}"
    return Path(tempfile.gettempdir()) / "harness-e2e"


def make_folders(label: Label) -> Path:
    """Both of its folders, the label first, so that what a kill leaves is found. Raises DriverFailed."""
    folder, sockets = folder_of(label.id), sockets_of(label.id)
    for parent in (folder.parent, sockets.parent):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform != "win32" and (parent.stat().st_uid != os.geteuid() or parent.is_symlink()):
            raise DriverFailed(f"{parent} is not this user's own", hint=f"remove it: rm -r {parent}")
    folder.mkdir(mode=0o700, exist_ok=True)
    write(label)
    sockets.mkdir(mode=0o700, exist_ok=True)
    return folder


def write(label: Label) -> None:
    from harness.atomic import write_atomically

    write_atomically(folder_of(label.id) / "label.json", label.model_dump_json())


def of_folder(folder: Path) -> Label | None:
    try:
        label = Label.model_validate_json((folder / "label.json").read_text())
    except (OSError, ValidationError):
        return None
    return label if label.id == folder.name and _is_ours(label) else None


def of(thing: Any) -> Label | None:
    """From a domain's or a network's metadata. None for what is not this user's: a copy of ours under another name is
    somebody else's."""
    import libvirt

    try:
        return parse(thing.XMLDesc(0), thing.name())
    except libvirt.libvirtError:
        return None  # it has just gone


def parse(xml: str, name: str) -> Label | None:
    from xml.etree import ElementTree

    try:
        text = ElementTree.fromstring(xml).findtext(f"metadata/{{{METADATA}}}instance")
        label = Label.model_validate_json(text or "")
    except (ElementTree.ParseError, ValidationError):
        return None
    return label if label.id == name and _is_ours(label) else None


def _is_ours(label: Label) -> bool:
    return label.cache == str(cache_dir())


def record(label: Label, status: str) -> InstanceRecord:
    detail = {
        "uri": label.uri,
        "kind": label.kind,
        "network": label.network,
        "image": str(label.image.path) if label.image is not None else "",
        "acceleration": "tcg" if label.emulated else "kvm",
    }
    return label.record_of("libvirt", label.id, label.platform, status=status, detail=detail)


def living() -> list[Label]:
    """Of all instances that have a folder."""
    folder = home()
    found = [of_folder(entry) for entry in sorted(folder.iterdir())] if folder.is_dir() else []
    return [label for label in found if label is not None]


def in_use() -> Sequence[str]:
    """The files and folders that instances lie on, for those who prune."""
    return [path for label in living() for path in label.bases]
