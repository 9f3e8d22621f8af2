"""A domain as libvirt reads it, from typed parts (https://libvirt.org/formatdomain.html). No text is put together by
hand: what a scenario names cannot become markup."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

METADATA = "urn:harness-e2e:instance"
"""The namespace of our element in a domain's and a network's metadata."""

_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"

ElementTree.register_namespace("harness", METADATA)
ElementTree.register_namespace("qemu", _QEMU)


def element(tag: str, *children: Element, text: str | None = None, **attributes: str) -> Element:
    """Attributes in the order given; a `_` at the end of a name is left out, so that `type_` can be one."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    made.text = text
    made.extend(children)
    return made


def metadata(label: str) -> Element:
    return element("metadata", element(f"{{{METADATA}}}instance", text=label))


@dataclass(frozen=True)
class Owner:
    """Whom QEMU runs as under the system's libvirtd (https://libvirt.org/drvqemu.html#driver-security-features).

    `relabel`: what libvirtd makes for it (sockets) is given to that user.
    """

    uid: int
    gid: int
    relabel: bool

    def element(self) -> Element:
        label = element("label", text=f"+{self.uid}:+{self.gid}")
        return element("seclabel", label, type_="static", model="dac", relabel="yes" if self.relabel else "no")


@dataclass(frozen=True, kw_only=True)
class Disk:
    """`backing`: the file below it and that one's format, told so that libvirt need not look."""

    path: Path
    target: str
    format: Literal["qcow2", "raw"] = "qcow2"
    bus: Literal["virtio", "scsi", "sata"] = "virtio"
    device: Literal["disk", "cdrom"] = "disk"
    backing: tuple[Path, str] | None = None
    read_only: bool = False

    def element(self, owned: bool) -> Element:
        # discard: what the guest frees, the file gives back. unsafe: no guest outlives a crash of this machine.
        driver = element("driver", name="qemu", type_=self.format, cache="unsafe", discard="unmap")
        children = [driver, _source(self.path, owned)]
        if self.backing is not None:
            path, form = self.backing
            children.append(element("backingStore", element("format", type_=form), _source(path, owned), type_="file"))
        children.append(element("target", dev=self.target, bus=self.bus))
        if self.read_only:
            children.append(element("readonly"))
        return element("disk", *children, type_="file", device=self.device)


def _source(path: Path, owned: bool) -> Element:
    """The owner of a disk's file is left as it is."""
    leave = (element("seclabel", model="dac", relabel="no"),) if owned else ()
    return element("source", *leave, file=str(path))


@dataclass(frozen=True, kw_only=True)
class Interface:
    """`user`: QEMU's own network behind this host, without any privilege; else a network or bridge of the host's."""

    kind: Literal["user", "network", "bridge"]
    mac: str
    source: str = ""
    model: str = "virtio"
    up: bool = True

    def element(self) -> Element:
        children = [element("mac", address=self.mac)]
        if self.kind != "user":
            children.append(element("source", **{self.kind: self.source}))
        children.append(element("model", type_=self.model))
        children.append(element("link", state="up" if self.up else "down"))
        return element("interface", *children, type_=self.kind)


@dataclass(frozen=True)
class Port:
    """A virtio-serial port of the guest (`/dev/virtio-ports/NAME`) and the Unix socket that QEMU listens on for it."""

    name: str
    socket: Path

    def element(self) -> Element:
        source = element("source", mode="bind", path=str(self.socket))
        return element("channel", source, element("target", type_="virtio", name=self.name), type_="unix")


@dataclass(frozen=True)
class Share:
    """A folder of the host that the guest mounts by its tag (9p: any QEMU has it, and it needs no daemon)."""

    source: Path
    tag: str
    read_only: bool

    def element(self) -> Element:
        children = [element("source", dir=str(self.source)), element("target", dir=self.tag)]
        if self.read_only:
            children.append(element("readonly"))
        return element("filesystem", *children, type_="mount", accessmode="passthrough")


@dataclass(frozen=True, kw_only=True)
class Boot:
    """By its kernel, or by the boot loader on its disk. `variables`: where UEFI keeps the guest's own."""

    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str | None = None
    uefi: bool = False
    variables: Path | None = None

    def elements(self) -> tuple[Element, ...]:
        if self.kernel is not None:
            made = [element("kernel", text=str(self.kernel))]
            if self.initrd is not None:
                made.append(element("initrd", text=str(self.initrd)))
            if self.cmdline:
                made.append(element("cmdline", text=self.cmdline))
            return tuple(made)
        if self.uefi:
            off = element("feature", enabled="no", name="secure-boot")
            made = [element("firmware", off)]
            if self.variables is not None:
                made.append(element("nvram", text=str(self.variables)))
            return (*made, element("boot", dev="hd"))
        return (element("boot", dev="hd"),)


@dataclass(frozen=True, kw_only=True)
class Domain:
    """`memory` in MiB. `cpu_without`: features that its processor is not to have, by libvirt's names. `console`: the
    file that the serial console is written to. `generation`: another UUID for each guest that goes on from one
    snapshot: its kernel sees that it is not alone, and draws new randomness (Virtual Machine Generation ID).
    `incoming`: it waits for its memory, see `memory.load`."""

    name: str
    uuid: str
    label: str
    kind: Literal["kvm", "qemu"]
    arch: str
    machine: str
    cpu: Literal["host-passthrough", "maximum"] | str
    memory: int
    cpus: int
    boot: Boot
    console: Path
    disks: tuple[Disk, ...]
    cpu_without: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    ports: tuple[Port, ...] = ()
    shares: tuple[Share, ...] = ()
    owner: Owner | None = None
    generation: str = ""
    incoming: bool = False
    video: str = "vga"
    features: tuple[str, ...] = field(default=("acpi", "apic"))

    def xml(self) -> str:
        return ElementTree.tostring(self.element(), encoding="unicode")

    def element(self) -> Element:
        kind = element("type", text="hvm", arch=self.arch, machine=self.machine)
        firmware = {"firmware": "efi"} if self.boot.uefi and self.boot.kernel is None else {}
        children = [
            element("name", text=self.name),
            element("uuid", text=self.uuid),
            metadata(self.label),
            element("memory", text=str(self.memory), unit="MiB"),
            element("vcpu", text=str(self.cpus)),
            element("os", kind, *self.boot.elements(), **firmware),
            element("features", *(element(name) for name in self.features)),
            self._cpu(),
            element("clock", offset="utc"),
            element("on_poweroff", text="destroy"),
            element("on_reboot", text="restart"),
            element("on_crash", text="destroy"),
            element("devices", *self._devices()),
        ]
        if self.generation:
            children.insert(2, element("genid", text=self.generation))
        if self.owner is not None:
            children.append(self.owner.element())
        if self.incoming:
            words = tuple(element(f"{{{_QEMU}}}arg", value=word) for word in self._waiting())
            children.append(element(f"{{{_QEMU}}}commandline", *words))
        return element("domain", *children, type_=self.kind)

    def _waiting(self) -> tuple[str, ...]:
        """Images are booted behind QEMU's own network, whose state is among what is loaded: a guest on another one has
        it, too, with nothing connected to it."""
        unused = () if any(one.kind == "user" for one in self.interfaces) else ("-netdev", "user,id=unused,restrict=on")
        return ("-incoming", "defer", *unused)

    def _cpu(self) -> Element:
        without = [element("feature", policy="disable", name=name) for name in self.cpu_without]
        if self.cpu in ("host-passthrough", "maximum"):
            return element("cpu", *without, mode=self.cpu)
        return element("cpu", element("model", text=self.cpu, fallback="forbid"), *without, mode="custom")

    def _devices(self) -> list[Element]:
        owned = self.owner is not None and self.owner.relabel
        log = element("log", file=str(self.console), append="on")
        return [
            *(disk.element(owned) for disk in self.disks),
            *(interface.element() for interface in self.interfaces),
            *(share.element() for share in self.shares),
            element("serial", log, element("target", port="0"), type_="pty"),
            *(port.element() for port in self.ports),
            element("video", element("model", type_=self.video)),
            element("memballoon", model="none"),
            element("rng", element("backend", text="/dev/urandom", model="random"), model="virtio"),
        ]
