"""What a platform of the libvirt driver may say about itself: molecule-libvirt's and vagrant-libvirt's names where they
have one."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from harness.drivers.shares import ShareText
from harness.drivers.sshd import OffersSsh
from harness.models.serde import StrictModel

_SIZE = re.compile(r"^[1-9][0-9]*[kmgt]?i?b?$", re.IGNORECASE)
_URI = re.compile(r"^qemu(\+[a-z0-9]+)?://")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


OF_MOLECULE_LIBVIRT = {"cpu": "cpus", "vcpu": "cpus", "libvirt_uri": "uri", "memory_size": "memory"}
"""molecule-libvirt's names for keys of ours. Its `memory_size` is in GB."""


def size_in_bytes(text: str) -> int:
    """Of `512m`, `2G`, `10GiB`: powers of 1024, as qemu-img has them."""
    number = re.match(r"[0-9]+", text)
    assert number is not None
    return int(number[0]) * _UNITS[text[number.end() :].lower().rstrip("b").rstrip("i")]


class ExtraDisk(StrictModel):
    """An empty disk beside the image's own: /dev/vdb, /dev/vdc ... in the order given."""

    size: str
    """Such as `2g`. It takes room only as it is written to."""

    @field_validator("size")
    @classmethod
    def _size(cls, value: str) -> str:
        return _is_size(value)


class LibvirtOptions(OffersSsh):
    """The keys beside the common ones. Relative paths are taken from the scenario's folder."""

    init: Literal["systemd"] | None = None
    """What PID 1 is comes with the image. `systemd` says that it is that, and has asked of it what it applies."""
    uri: str | None = None
    """Of libvirtd: `qemu:///session`, `qemu:///system`, `qemu+ssh://USER@HOST/system`. None: LIBVIRT_DEFAULT_URI, else
    the system's for root and the user's own for everybody else."""
    memory: int = Field(default=512, ge=64, le=1 << 24)
    """MiB."""
    cpus: int = Field(default=1, ge=1, le=255)
    cpu_model: str | None = None
    """As `virsh cpu-models x86_64` lists them. None: the host's own with KVM, all that QEMU can without."""
    machine: str | None = None
    """QEMU's machine type. None: pc for x86_64 (q35 with UEFI), virt for aarch64."""
    acceleration: Literal["auto", "kvm", "tcg"] = "auto"
    """`auto`: KVM where a boot has proved that it works, else QEMU's own emulation."""
    firmware: Literal["bios", "uefi"] | None = None
    """None: what the image wants."""
    disk_size: str | None = None
    """The image's disk shall have at least so much; growing its file system is the guest's affair."""
    disks: list[ExtraDisk] = Field(default_factory=list, max_length=24)
    shares: list[ShareText] = Field(default_factory=list, max_length=16)
    """Folders of this host: `SOURCE[:/TARGET][:ro|rw]`, read-only unless `rw`."""
    network: str = Field(default="user", pattern=r"^(user|private|none|network:.+|bridge:.+)$")
    """`user`: a way out behind this host, and no way in but the harness's own. `private`: a network of this run's own,
    where platforms find each other by name. `network:NAME`, `bridge:NAME`: one that is there."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every command."""

    @model_validator(mode="before")
    @classmethod
    def _as_elsewhere(cls, value: object) -> object:
        """molecule-libvirt's names for the same things."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        for old, new in OF_MOLECULE_LIBVIRT.items():
            if old in value:
                if new in value:
                    raise ValueError(f"`{old}` and `{new}` are the same: give one of them")
                given = value.pop(old)
                value[new] = _mebibytes(given) if old == "memory_size" else given
        cpus = value.get("cpus")
        return {**value, "cpus": int(cpus)} if isinstance(cpus, str) and cpus.isdecimal() else value

    @field_validator("memory", mode="before")
    @classmethod
    def _memory(cls, value: object) -> object:
        """A bare number is MiB, as in the other drivers; `2g` will do as well."""
        if isinstance(value, str) and _SIZE.match(value):
            return int(value) if value.isdecimal() else max(1, size_in_bytes(value) >> 20)
        return value

    @field_validator("disk_size", mode="before")
    @classmethod
    def _disk_size(cls, value: object) -> object:
        return _is_size(value) if isinstance(value, str) else value

    @field_validator("uri")
    @classmethod
    def _uri(cls, value: str | None) -> str | None:
        if value is not None and not _URI.match(value):
            raise ValueError(f"{value!r} is no address such as qemu:///session or qemu+ssh://USER@HOST/system")
        return value

    @model_validator(mode="after")
    def _ssh_has_a_way(self) -> LibvirtOptions:
        if self.network == "none" and self.connection == "ssh":
            raise ValueError("`connection: ssh` needs a network: `network: none` has none")
        return self


def _is_size(value: str) -> str:
    if not _SIZE.match(value):
        raise ValueError(f"{value!r} is not a size such as 512m or 10g")
    return value


def _mebibytes(gigabytes: object) -> object:
    try:
        return round(float(str(gigabytes)) * 1024)
    except ValueError:
        return gigabytes
