"""What a guest is at one moment, as files: its disks, and where QEMU can, its memory with all that runs in it.

    manifest.json
    disk.qcow2          over the image itself, however many states the guest had gone on from
    disk1.qcow2 ...     of its further disks, whole
    variables.fd        of UEFI
    memory              absent where it could not be kept

Taken while the guest stands still, and never changed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.connections import open_connection
from harness.drivers import manifests
from harness.drivers.libvirt import memory, readiness, storage
from harness.drivers.libvirt.domain import Domain
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.machine import Wanted, definition
from harness.drivers.libvirt.memory import NotKept
from harness.drivers.trees import space_taken
from harness.models.disk import DiskImage
from harness.models.endpoint import Endpoint

_FORMAT = 1
_MANIFEST = "manifest.json"
_MEMORY = "memory"
_SYNC_SECONDS = 60.0


class Manifest(manifests.Manifest):
    """`fingerprint`: of the machine that its memory fits into. `files`: size in bytes and time of change in ns."""

    fingerprint: str
    image: DiskImage
    without_memory: str = ""
    """Why its memory is not in it; empty where it is."""
    files: dict[str, tuple[int, int]]

    @property
    def missing(self) -> tuple[str, ...]:
        return ("memory", "processes", "tmpfs") if self.without_memory else ()

    @property
    def digest(self) -> str:
        """Another one for every other state."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True)
class Saved:
    """One that has been published."""

    folder: Path
    manifest: Manifest

    @property
    def memory(self) -> Path:
        return self.folder / _MEMORY

    def fits(self, fingerprint: str) -> bool:
        """Whether its memory can go on in such a machine."""
        return not self.manifest.without_memory and self.manifest.fingerprint == fingerprint

    def is_whole(self) -> bool:
        """Whether it is as it was published, and what it lies on is still there."""
        try:
            same = all(_stamp(self.folder / name) == stamp for name, stamp in self.manifest.files.items())
        except OSError:
            return False
        return same and self.manifest.image.path.exists()


def read(folder: Path) -> Saved | None:
    """None for what is no snapshot, or one of another version's."""
    try:
        return Saved(folder, Manifest.model_validate_json((folder / _MANIFEST).read_text()))
    except (OSError, ValidationError):
        return None


def fingerprint(wanted: Wanted, host: Hypervisor) -> str:
    """sha256 of all that a running guest's memory depends on: the machine as the guest sees it, the image, QEMU and
    libvirt, and with KVM the host's processor. Raises DriverFailed, libvirtError."""
    asked = definition(wanted, host)
    told = {
        "format": _FORMAT,
        "machine": _seen_from_inside(asked),
        "disk_size": wanted.options.disk_size,
        "disks": [disk.size for disk in wanted.options.disks],
        "image": [wanted.image.digest, str(wanted.image.path)],
        "versions": [host.connection.getVersion(), host.connection.getLibVersion()],
        "processor": host.processor() if asked.kind == "kvm" else "",
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _seen_from_inside(domain: Domain) -> Mapping[str, Any]:
    """Without what differs between one guest and the next: names, addresses, and the host's files."""
    nowhere = Path("/")
    neutral = replace(
        domain,
        name="",
        uuid="",
        label="",
        generation="",
        console=nowhere,
        owner=None,
        boot=replace(domain.boot, variables=None),
        disks=tuple(replace(disk, path=nowhere, backing=None) for disk in domain.disks),
        interfaces=tuple(replace(one, kind="user", mac="", source="", up=True) for one in domain.interfaces),
        ports=tuple(replace(port, socket=nowhere) for port in domain.ports),
        shares=tuple(replace(share, source=nowhere) for share in domain.shares),
    )
    return asdict(neutral)


def take(domain: Any, wanted: Wanted, inner: Endpoint, folder: Path) -> str:
    """Fill `folder`; the guest goes on afterwards if it ran. Returns why its memory is not in it, or nothing.

    Raises DriverFailed, libvirtError.
    """
    running = readiness.status(domain) == "running"
    if running:
        domain.suspend()
    try:
        why = _keep_memory(domain, folder / _MEMORY)
        if why and running:
            # What it starts from next time is its disk alone.
            domain.resume()
            with open_connection(inner, name=wanted.spec.name) as connection:
                connection.run("sync", timeout=_SYNC_SECONDS)
            domain.suspend()
        storage.copy(wanted, folder)
    finally:
        if running:
            domain.resume()
    return why


def _keep_memory(domain: Any, path: Path) -> str:
    if not domain.isActive():
        return "it is switched off"
    version = domain.connect().getVersion()
    if version < memory.OLDEST_QEMU:
        return f"QEMU {version // 1_000_000}.{version // 1000 % 1000} is too old for that: it takes 9.0"
    try:
        memory.save(domain, path)
    except NotKept as refusal:
        return refusal.message
    return ""


def seal(folder: Path, wanted: Wanted, host: Hypervisor, *, key: str, why: str) -> Manifest:
    """Write its manifest: the last thing before it is published."""
    label = wanted.label
    manifest = Manifest(
        key=key,
        platform=label.platform,
        project=label.project,
        scenario=label.scenario,
        created=time.time(),
        size=sum(space_taken(file) for file in folder.iterdir()),
        fingerprint=fingerprint(wanted, host),
        image=wanted.image,
        without_memory=why,
        files={file.name: _stamp(file) for file in sorted(folder.iterdir())},
    )
    (folder / _MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return manifest


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
