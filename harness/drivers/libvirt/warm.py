"""Images that have been booted: a guest starts from one in about a second, and boots nothing.

Every guest begins so, the first one, too: what a test sees never depends on whether somebody else was there before.
They lie in the content-addressed store, under the fingerprint of the machine and of the image.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.compile.store import Store
from harness.deadline import Deadline
from harness.drivers.disks import BOOTED
from harness.drivers.disks import shelf as disk_shelf
from harness.drivers.images import to_stderr
from harness.drivers.libvirt import clones, guest, identity, labels, machine, readiness, remains, snapshots, storage
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.labels import Label
from harness.drivers.libvirt.machine import Wanted
from harness.drivers.libvirt.memory import NotKept
from harness.drivers.libvirt.snapshots import Saved
from harness.errors import HarnessError, Interrupted, NotReady
from harness.models.endpoint import Serial

_BOOT_SECONDS = 120.0

Watch = Callable[[Label], None]
"""Is told of what is about to be made."""


class TooLong(NotReady):
    """The first boot of an image took all the time it is given."""


def patience(label: Label, run: Deadline | None) -> float:
    """Seconds that a first boot may take: as long as the run, however much of that is gone, but long enough to boot."""
    if run is None:
        return readiness.patient(Deadline(_BOOT_SECONDS), label).seconds
    return max(_BOOT_SECONDS, run.seconds)


def start(host: Hypervisor, wanted: Wanted, saved: Saved) -> bool:
    """Whether it goes on from its booted image; else it has to boot by itself. Raises DriverFailed, libvirtError."""
    try:
        clones.go_on(host, wanted, saved)
    except NotKept as refusal:
        to_stderr(f"{refusal.message}; it boots by itself")
        Store().discard(BOOTED, saved.manifest.key)
        remains.remove_domain(host, wanted.label.id)
        labels.make_folders(wanted.label)
        return False
    return True


def obtain(host: Hypervisor, wanted: Wanted, watch: Watch, limit: float) -> Saved | None:
    """Its image, booted; now if need be, in `limit` seconds: of several guests that need the same, one boots and the
    others wait.

    None where there can be none; then the guest boots by itself, and tells what is wrong with it. Raises NotReady where
    it took too long, libvirtError.
    """
    if not (wanted.image.serial_shell or wanted.image.seed):
        return None  # its only way in is an sshd with keys of the one guest that has booted
    key = snapshots.fingerprint(wanted, host)
    store = Store()
    try:
        entry, _ = store.obtain(BOOTED, key, lambda folder: _make(host, wanted, watch, key, folder, limit))
        store.refer(entry, wanted.folder)
        disk_shelf.keep(wanted.image, entry.path)
    except (Interrupted, TooLong):
        raise
    except HarnessError as error:
        to_stderr(f"{wanted.spec.name}: it boots by itself, for its image could not be booted once for all: {error}")
        return None
    saved = snapshots.read(entry.path)
    if saved is None or not saved.is_whole():
        return None
    if saved.manifest.without_memory:
        to_stderr(f"{wanted.spec.name}: it boots by itself, for no memory can be kept: {saved.manifest.without_memory}")
        return None
    return saved


def _make(host: Hypervisor, wanted: Wanted, watch: Watch, key: str, folder: Path, limit: float) -> Mapping[str, str]:
    to_stderr(f"booting {wanted.image.name} once; every later guest goes on from there")
    first = _first(wanted)
    with _booted(host, first, watch, limit) as domain:
        why = snapshots.take(domain, first, _inner(first), folder)
    if why:
        # Nothing would be saved by starting from its disk alone. That it is so is worth remembering.
        for file in folder.iterdir():
            file.unlink()
    snapshots.seal(folder, first, host, key=key, why=why)
    name = f"{wanted.image.name}, booted with {wanted.options.memory} MiB, {wanted.options.cpus} CPU"
    return {"name": name, "arch": wanted.image.arch, "disk": str(wanted.image.path)}


def _first(wanted: Wanted) -> Wanted:
    """The same machine by another name, alone behind this host."""
    label = wanted.label.model_copy(update={"id": f"{wanted.label.id}-boot", "kept": False, "network": "", "state": ""})
    network = "none" if wanted.options.network == "none" else "user"
    options = wanted.options.model_copy(update={"network": network})
    spec = replace(wanted.spec, options=options)
    return replace(wanted, spec=spec, options=options, label=label, uuid=str(uuid.uuid4()))


@contextmanager
def _booted(host: Hypervisor, wanted: Wanted, watch: Watch, limit: float) -> Iterator[Any]:
    """Until its init has come up. Raises DriverFailed, TooLong, NotReady, libvirtError."""
    name, label = wanted.spec.name, wanted.label
    watch(label)
    labels.make_folders(label)
    try:
        storage.make(wanted)
        domain = host.connection.defineXML(machine.definition(wanted, host).xml())
        domain.create()
        deadline = Deadline(limit)
        try:
            with closing(readiness.wait_for_answer(name, domain, label, _inner(wanted), deadline)) as connection:
                if guest.wait_for_init(connection, name, deadline) != "running":
                    guest.start_what_failed(connection, max(1.0, deadline.remaining()))  # all later guests are like it
                identity.read_ahead(connection, max(1.0, deadline.remaining()))
        except NotReady as error:
            if not deadline.expired():
                raise
            # Once more, by itself, it would take as long.
            raise TooLong(
                f"the first boot of {wanted.image.name}: {error.message}",
                hint="scenario.timeout_seconds gives it more time; with `snapshot: false` on the platform it boots in "
                "the run itself, where harness console shows all that it says",
            ) from error
        yield domain
    finally:
        remains.remove(host, label.id, "")


def _inner(wanted: Wanted) -> Serial:
    return Serial(sockets=tuple(map(str, machine.sockets(wanted.label))))
