"""From what a platform asks for to the domain that libvirt is given."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harness.drivers.base import PlatformSpec
from harness.drivers.libvirt import labels
from harness.drivers.libvirt.acceleration import Choice
from harness.drivers.libvirt.domain import Boot, Disk, Domain, Interface, Owner, Port, Share
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.labels import Label
from harness.drivers.libvirt.options import LibvirtOptions
from harness.drivers.shares import FORM, Shared, shared
from harness.errors import DriverFailed
from harness.models.disk import SHELL_PORT, SHELL_PORTS, DiskImage

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
DISK = "disk.qcow2"
VARIABLES = "variables.fd"
SLOW_FEATURES = ("erms", "fsrm", "la57")
"""Of x86 processors. Where they are emulated a kernel that sees them copies and clears memory byte by byte, and walks
five levels of page tables: a quarter of a boot."""
_CONSOLES = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}


@dataclass(frozen=True)
class Wanted:
    """One domain. `directory`: the scenario's folder, where relative paths begin."""

    spec: PlatformSpec
    options: LibvirtOptions
    label: Label
    uuid: str
    image: DiskImage
    choice: Choice
    directory: Path

    @property
    def state(self) -> Path | None:
        """The folder of the snapshot that its disks lie on, in place of its image."""
        return Path(self.label.state) if self.label.state else None

    @property
    def folder(self) -> Path:
        return labels.folder_of(self.label.id)

    @property
    def disk(self) -> Path:
        """Its own layer over the image."""
        return self.folder / DISK

    @property
    def seed(self) -> Path:
        return self.folder / "seed.iso"

    @property
    def variables(self) -> Path:
        return self.folder / VARIABLES

    @property
    def uefi(self) -> bool:
        return (self.options.firmware or self.image.firmware) == "uefi"

    def extra_disk(self, number: int) -> Path:
        return self.folder / extra_disk(number)


def extra_disk(number: int) -> str:
    """The name of its file; the first is 1."""
    return f"disk{number}.qcow2"


def options_of(spec: PlatformSpec) -> LibvirtOptions:
    return spec.options if isinstance(spec.options, LibvirtOptions) else LibvirtOptions()


def architecture(spec: PlatformSpec) -> str:
    """As `uname -m` says it; this machine's own unless the platform names one."""
    asked = spec.arch or platform.machine()
    return ARCHITECTURES.get(asked, asked)


def console_of(label: Label) -> Path:
    return labels.folder_of(label.id) / "console.log"


def sockets(label: Label) -> tuple[Path, ...]:
    """The host's ends of the guest's serial shells."""
    return tuple(labels.sockets_of(label.id) / str(number) for number in range(SHELL_PORTS))


def mac_address(identifier: str, number: int = 0) -> str:
    """QEMU's own prefix, and three bytes that are the domain's (52:54:00 is what libvirt takes, too)."""
    digest = hashlib.sha256(f"{identifier}\0{number}".encode()).hexdigest()
    return "52:54:00:" + ":".join(digest[i : i + 2] for i in (0, 2, 4))


def definition(wanted: Wanted, host: Hypervisor) -> Domain:
    options, label, arch = wanted.options, wanted.label, wanted.image.arch
    machine = options.machine or ("virt" if arch == "aarch64" else "q35" if wanted.uefi else "pc")
    return Domain(
        name=label.id,
        uuid=wanted.uuid,
        label=label.model_dump_json(),
        kind=wanted.choice.kind,
        arch=arch,
        machine=machine,
        cpu=options.cpu_model or ("maximum" if wanted.choice.emulated else "host-passthrough"),
        cpu_without=SLOW_FEATURES if wanted.choice.emulated and arch == "x86_64" and not options.cpu_model else (),
        memory=options.memory,
        cpus=options.cpus,
        boot=_boot(wanted),
        console=console_of(label),
        disks=tuple(_disks(wanted)),
        interfaces=tuple(_interfaces(wanted)),
        ports=tuple(Port(f"{SHELL_PORT}{number}", path) for number, path in enumerate(sockets(label))),
        shares=shares(wanted),
        owner=_owner(host),
        generation=str(uuid.uuid4()) if arch == "x86_64" else "",
        video="virtio" if arch == "aarch64" else "vga",
        features=("acpi", "gic") if arch == "aarch64" else ("acpi", "apic"),
    )


def _boot(wanted: Wanted) -> Boot:
    image = wanted.image
    if image.kernel is None:
        return Boot(uefi=wanted.uefi, variables=wanted.variables if wanted.uefi else None)
    console = _CONSOLES.get(image.arch, "ttyS0")
    # The last is /dev/console; the first is seen on the screen.
    words = [image.cmdline or "", "console=tty0", f"console={console}"]
    if image.arch == "x86_64":
        # Emulated on a busy machine the timer may not tick while the kernel looks: it panics ("IO-APIC + timer doesn't
        # work"). With KVM it does not look at all.
        words.append("no_timer_check")
    cmdline = " ".join(words).strip()
    return Boot(kernel=image.kernel, initrd=image.initrd, cmdline=cmdline)


def _disks(wanted: Wanted) -> list[Disk]:
    image = wanted.image
    backing = (wanted.state / DISK, "qcow2") if wanted.state else (image.path, image.format)
    made = [Disk(path=wanted.disk, target="vda", backing=backing)]
    for number, _ in enumerate(wanted.options.disks, start=1):
        made.append(Disk(path=wanted.extra_disk(number), target=f"vd{chr(ord('a') + number)}"))
    if image.seed:
        target = f"vd{chr(ord('a') + len(made))}"  # not a CD-ROM: the kernels of cloud images have no driver for one
        made.append(Disk(path=wanted.seed, target=target, format="raw", read_only=True))
    return made


def _interfaces(wanted: Wanted) -> list[Interface]:
    mac = mac_address(wanted.label.id)
    network = wanted.options.network
    if network == "none":
        return []
    if network == "user":
        return [Interface(kind="user", mac=mac)]
    if network == "private":
        return [Interface(kind="network", mac=mac, source=wanted.label.network)]
    kind, _, source = network.partition(":")
    return [Interface(kind="bridge" if kind == "bridge" else "network", mac=mac, source=source)]


def shares(wanted: Wanted) -> tuple[Share, ...]:
    """Raises DriverFailed for a folder that is not there."""
    return tuple(
        Share(share.source, f"harness{number}", not share.writable)
        for number, share in enumerate(shared_folders(wanted.spec, wanted.directory))
    )


def shared_folders(spec: PlatformSpec, directory: Path) -> list[Shared]:
    """Raises DriverFailed for a folder that is not there."""
    found = []
    for text in options_of(spec).shares:
        share = shared(text, directory)
        if not share.source.is_dir():
            raise DriverFailed(
                f"{spec.name}: the share {text!r} names no folder: {share.source}",
                hint=f"{FORM}, and SOURCE from the scenario's folder",
            )
        found.append(share)
    return found


def _owner(host: Hypervisor) -> Owner | None:
    """QEMU runs as whoever runs the harness, so that no file has to change hands; a daemon of the user's own can do
    nothing else."""
    if sys.platform == "win32" or not host.privileged or host.elsewhere:
        return None
    return Owner(os.geteuid(), os.getegid(), relabel=os.geteuid() != 0)


def link_elements(domain: Any, *, up: bool) -> list[str]:
    """The domain's interfaces as they are now, with their links as wanted: what `updateDeviceFlags` takes."""
    found = []
    for interface in ElementTree.fromstring(domain.XMLDesc(0)).iterfind("devices/interface"):
        link = interface.find("link")
        if link is None:
            link = ElementTree.SubElement(interface, "link")
        link.set("state", "up" if up else "down")
        found.append(ElementTree.tostring(interface, encoding="unicode"))
    return found
