"""Guests that go on from a snapshot: started, several at once, and made themselves again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.images import to_stderr
from harness.drivers.libvirt import identity, labels, machine, memory, snapshots, storage
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.labels import Label
from harness.drivers.libvirt.machine import Wanted
from harness.drivers.libvirt.memory import NotKept
from harness.drivers.libvirt.snapshots import Saved

BOOTING, UP = "booting", "up"


def onto(wanted: Wanted, saved: Saved) -> Wanted:
    """With its disks on the snapshot's."""
    label, state = wanted.label, str(saved.folder)
    bases = [base for base in label.bases if base != label.state]
    return replace(wanted, label=label.model_copy(update={"state": state, "bases": [*bases, state]}))


def go_on(host: Hypervisor, wanted: Wanted, saved: Saved) -> None:
    """Its domain is made, and runs: from where `saved` was taken if its memory fits, else it boots from that disk.

    Raises DriverFailed, NotKept, libvirtError.
    """
    import libvirt

    wanted = onto(wanted, saved)
    labels.write(wanted.label)
    storage.make(wanted)
    domain = machine.definition(wanted, host)
    mark = _mark(wanted.label)
    mark.write_text(BOOTING)
    defined = host.connection.defineXML(domain.xml())
    if not saved.fits(snapshots.fingerprint(wanted, host)):
        why = saved.manifest.without_memory or "it was taken of another machine, or by another QEMU"
        to_stderr(f"{wanted.spec.name}: it boots from the snapshot's disk, without its memory: {why}")
        defined.create()
        return
    # On a network that others are on, too, it must not be seen with the address that all clones begin with.
    interfaces = tuple(replace(one, up=one.kind == "user") for one in domain.interfaces)
    live = replace(domain, incoming=True, interfaces=interfaces)
    running = host.connection.createXML(live.xml(), libvirt.VIR_DOMAIN_START_PAUSED)
    try:
        memory.load(running, saved.memory)
    except NotKept as refusal:
        words = f"{wanted.spec.name}: QEMU does not go on from the snapshot: {refusal.message}"
        raise NotKept(
            words, hint="--no-snapshot does without; `harness snapshot delete` removes one with a name"
        ) from refusal
    mark.write_text(UP)
    running.resume()


def pending(label: Label) -> str:
    """Of one that has not been made itself again since it went on: UP in the middle of its work, or BOOTING."""
    mark = _mark(label)
    return mark.read_text() if mark.exists() else ""


def renew(domain: Any, wanted: Wanted, connection: Connection, deadline: Deadline) -> None:
    """Raises DriverFailed, NotReady, libvirtError."""
    import libvirt

    name = wanted.spec.name
    shared = wanted.options.network not in ("user", "none")
    address = machine.mac_address(wanted.label.id) if shared else None
    identity.renew(connection, name, address, max(1.0, deadline.remaining()))
    if shared:
        for interface in machine.link_elements(domain, up=True):
            domain.updateDeviceFlags(interface, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        identity.wait_for_address(connection, name, deadline)
    _mark(wanted.label).unlink(missing_ok=True)


def _mark(label: Label) -> Path:
    return labels.folder_of(label.id) / "clone"
