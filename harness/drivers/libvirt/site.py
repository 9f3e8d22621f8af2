"""The scope of one scenario's run: domains made side by side, found again, stopped, cut off and removed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.cache import cache_dir
from harness.deadline import Deadline
from harness.drivers.base import (
    Driver,
    Instance,
    InstanceRecord,
    Origin,
    PlatformSpec,
    RunId,
    ScenarioRef,
    Site,
    Snapshot,
    stored_name,
)
from harness.drivers.libvirt import (
    acceleration,
    clones,
    diagnosis,
    guest,
    hypervisor,
    labels,
    login,
    machine,
    networks,
    power,
    readiness,
    remains,
    screen,
    shelf,
    snapshots,
    storage,
    warm,
)
from harness.drivers.libvirt.acceleration import Choice
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.labels import Label
from harness.drivers.libvirt.machine import Wanted
from harness.drivers.libvirt.snapshots import Saved
from harness.drivers.parallel import side_by_side
from harness.drivers.unkept import Unkept
from harness.errors import DriverFailed, HarnessError
from harness.models.disk import DiskImage
from harness.models.endpoint import Endpoint, Serial


@dataclass(frozen=True)
class Found:
    """An instance as it is now. `domain` is libvirt's own."""

    host: Hypervisor
    domain: Any
    label: Label


class LibvirtSite(Site):
    def __init__(self, driver: Driver, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        super().__init__(driver, scenario, run, keep=keep)
        self._hosts: dict[str, Hypervisor] = {}
        self._lock = threading.Lock()
        self._unkept = Unkept()

    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        wanted = [(self._host(spec), self._wanted(spec)) for spec in specs]
        self._check_memory(wanted)
        try:
            for host, one in wanted:
                hypervisor.remember(host.uri)
                if not self.keep:
                    self._watch(host, one.label)
                labels.make_folders(one.label)
            self._join_networks(wanted)
            side_by_side([partial(self._make, host, one, bases.get(one.spec.name)) for host, one in wanted])
        except OSError as error:
            self._abandon(wanted)
            raise hypervisor.failure("", f"{error.strerror or error}: {error.filename}") from error
        except BaseException:
            self._abandon(wanted)
            raise
        return [Instance(one.spec, labels.record(one.label, "running")) for _, one in wanted]

    def _wanted(self, spec: PlatformSpec) -> Wanted:
        from harness.drivers import disks

        if spec.os != "linux":
            raise DriverFailed(
                f"{spec.name}: guests of {spec.os} are not made by this driver", hint="use `driver: vagrant` with a box"
            )
        if spec.image is None:
            raise DriverFailed(f"{spec.name}: a virtual machine needs an `image`", hint="`image: debian-12`")
        host, options, arch = self._host(spec), machine.options_of(spec), machine.architecture(spec)
        if host.elsewhere:
            raise DriverFailed(
                f"{spec.name}: {host.uri} is another machine's libvirt, and a guest's disks and shells are files and "
                "sockets of the machine that the harness runs on",
                hint="run the harness there, or `driver: ssh` for a guest that is there already",
            )
        machine.shared_folders(spec, self.scenario.directory)
        emulator = diagnosis.emulator(host, spec.name, arch)
        with self.aside():
            image = disks.disk_image(spec.image, self.scenario.directory, arch=arch)
        if options.firmware == "uefi" and image.kernel is not None:
            raise DriverFailed(
                f"{spec.name}: {image.name} is booted directly, without a firmware: `firmware: uefi` would do nothing",
                hint="leave `firmware` out, or name an image with a boot loader of its own",
            )
        choice = acceleration.choose(options.acceleration, arch, emulator, image.kernel)
        label = self._label(spec, host, image, emulated=choice.emulated)
        return Wanted(spec, options, label, str(uuid.uuid4()), image, choice, self.scenario.directory)

    def _label(self, spec: PlatformSpec, host: Hypervisor, image: DiskImage, *, emulated: bool) -> Label:
        private = machine.options_of(spec).network == "private"
        return Label(
            id=labels.domain_name(self.scenario, self.run, spec.name),
            uri=host.uri,
            cache=str(cache_dir()),
            project=str(self.scenario.project),
            scenario=self.scenario.name,
            platform=spec.name,
            run=str(self.run),
            kept=self.keep,
            created=time.time(),
            emulated=emulated,
            image=image,
            network=labels.group_name(self.scenario, self.run) if private else "",
            bases=[str(path) for path in (image.path, image.kernel, image.initrd) if path is not None],
        )

    @staticmethod
    def _check_memory(wanted: Sequence[tuple[Hypervisor, Wanted]]) -> None:
        """Raises DriverFailed before anything is made."""
        for host in {host.uri: host for host, _ in wanted}.values():
            with hypervisor.explained(""):
                there = int(host.connection.getInfo()[1])
            asked = {one.spec.name: one.options.memory for other, one in wanted if other is host}
            if sum(asked.values()) > there:
                each = ", ".join(f"{name} {memory} MiB" for name, memory in asked.items())
                raise DriverFailed(
                    f"{', '.join(asked)}: the host has {there} MiB of memory, and the platforms ask for {each}",
                    hint="give them less `memory`",
                )

    def _join_networks(self, wanted: Sequence[tuple[Hypervisor, Wanted]]) -> None:
        for host in {host.uri: host for host, _ in wanted}.values():
            ours = [one for other, one in wanted if other is host and one.label.network]
            if ours:
                label = ours[0].label.model_copy(
                    update={"id": ours[0].label.network, "kind": "network", "platform": "(network)", "bases": []}
                )
                members = {one.spec.name: machine.mac_address(one.label.id) for one in ours}
                networks.join(host, label, members)

    def _make(self, host: Hypervisor, wanted: Wanted, base: Snapshot | None) -> None:
        with hypervisor.explained(wanted.spec.name):
            if base is not None:
                clones.go_on(host, wanted, self._saved(base))
            elif wanted.spec.snapshot is False or not self._start_warm(host, wanted):
                storage.make(wanted)
                host.connection.defineXML(machine.definition(wanted, host).xml()).create()

    def _start_warm(self, host: Hypervisor, wanted: Wanted) -> bool:
        limit = warm.patience(wanted.label, self.clock)
        with self.aside(2 * limit):  # another process may have begun it, and fail
            saved = warm.obtain(host, wanted, partial(self._watch, host), limit)
        return saved is not None and warm.start(host, wanted, saved)

    def _saved(self, snapshot: Snapshot) -> Saved:
        saved = shelf.find(stored_name(self.scenario, snapshot.platform, snapshot.key))
        if saved is None:
            raise DriverFailed(
                f"{snapshot.platform}: there is no snapshot {snapshot.key!r} that it could go on from",
                hint="`harness snapshot list` shows those there are",
            )
        return saved

    def _watch(self, host: Hypervisor, label: Label) -> None:
        """What shall go with this process, however that ends."""
        remove = partial(self._remove, host, label.id, label.network)
        self._unkept.add(label.id, remove, [labels.record(label, "running")])

    def _abandon(self, wanted: Sequence[tuple[Hypervisor, Wanted]]) -> None:
        with suppress(HarnessError):  # what is left is found by its labels; the first error tells more
            side_by_side([partial(self._remove, host, one.label.id, one.label.network) for host, one in wanted])

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        instance = Instance(spec, record)
        with self._on(instance) as found:
            return Instance(spec, labels.record(found.label, readiness.status(found.domain)))

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Endpoint:
        with self._on(instance) as found:
            return self._ready(found, instance, self._patient(deadline, found.label))

    def _patient(self, deadline: Deadline, label: Label) -> Deadline:
        """Without KVM a guest is given more time, but no more than the run itself has: the end of its console is to be
        told before that is over."""
        patient = readiness.patient(deadline, label)
        if self.clock is None:
            return patient
        return Deadline(min(patient.remaining(), max(deadline.remaining(), self.clock.remaining())))

    def _ready(self, found: Found, instance: Instance, deadline: Deadline) -> Endpoint:
        """A guest that is emulated has been given its time already."""
        label = found.label
        assert label.image is not None
        if not (label.image.serial_shell or label.image.seed):
            endpoint = login.own_sshd(found.host, found.domain, instance, label)
            self._settle(found, instance, endpoint, deadline)
            return endpoint
        inner = self._serial(instance, label)
        self._settle(found, instance, inner, deadline)
        if machine.options_of(instance.spec).connection == "direct":
            return inner
        return login.through_sshd(found.host, found.domain, instance, label, inner, deadline)

    def _settle(self, found: Found, instance: Instance, endpoint: Endpoint, deadline: Deadline) -> None:
        label, name = found.label, instance.name
        with closing(readiness.wait_for_answer(name, found.domain, label, endpoint, deadline)) as connection:
            pending = clones.pending(label)
            if pending:
                clones.renew(found.domain, self._as_made(instance, found), connection, deadline)
            network = networks.find(found.host, label.network) if label.network else None
            places = networks.places(network) if network is not None else []
            folders = machine.shared_folders(instance.spec, self.scenario.directory)
            mounts = [guest.Mount(f"harness{i}", share.target, not share.writable) for i, share in enumerate(folders)]
            guest.settle(connection, name, places, mounts, max(1.0, deadline.remaining()))
            if pending != clones.UP:
                guest.wait_for_init(connection, name, deadline)

    @staticmethod
    def _serial(instance: Instance, label: Label) -> Serial:
        environment = machine.options_of(instance.spec).environment
        return Serial(sockets=tuple(map(str, machine.sockets(label))), environment=environment)

    def back_door(self, instance: Instance) -> Endpoint:
        with self._on(instance) as found:
            return self._serial(instance, found.label)

    def snapshot(self, instance: Instance, key: str) -> Snapshot:
        with self._on(instance) as found:
            wanted, name = self._as_made(instance, found), stored_name(self.scenario, instance.name, key)

            def fill(folder: Path) -> snapshots.Manifest:
                why = snapshots.take(found.domain, wanted, self._serial(instance, found.label), folder)
                return snapshots.seal(folder, wanted, found.host, key=key, why=why)

            return shelf.put(name, fill)

    def origin(self, spec: PlatformSpec) -> Origin:
        wanted = self._wanted(spec)
        with hypervisor.explained(spec.name):
            digest = snapshots.fingerprint(wanted, self._host(spec))
        return Origin(digest, outside=tuple(f"the share {share}" for share in wanted.options.shares))

    def snapshots(self) -> list[Snapshot]:
        return shelf.listed(self.scenario)

    def find_snapshot(self, platform: str, key: str) -> Snapshot | None:
        saved = shelf.find(stored_name(self.scenario, platform, key))
        return shelf.described(saved.manifest) if saved is not None and saved.manifest.platform == platform else None

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        # An automatic one has a key that is used once: whoever deletes it knows that nobody writes it any more.
        name = stored_name(self.scenario, snapshot.platform, snapshot.key)
        shelf.delete(name, drafts=snapshot.automatic)

    def revert(self, instance: Instance, snapshot: Snapshot, deadline: Deadline) -> Endpoint:
        with self._on(instance) as found:
            saved = self._saved(snapshot)
            power.kill(found.domain)
            clones.go_on(found.host, self._as_made(instance, found), saved)
        shelf.sweep_of(found.label.bases)
        return self.wait_ready(instance, deadline)

    def _as_made(self, instance: Instance, found: Found) -> Wanted:
        label = found.label
        assert label.image is not None
        choice = Choice("qemu" if label.emulated else "kvm")
        options, directory = machine.options_of(instance.spec), self.scenario.directory
        return Wanted(instance.spec, options, label, found.domain.UUIDString(), label.image, choice, directory)

    def destroy(self, instance: Instance) -> None:
        host = self._host(instance.spec)
        with hypervisor.explained(instance.name):
            self._remove(host, instance.record.id, instance.record.detail.get("network", ""))

    def _remove(self, host: Hypervisor, identifier: str, network: str) -> None:
        with hypervisor.explained(""):
            remains.remove(host, identifier, network)
        self._unkept.forget(identifier)

    def start(self, instance: Instance) -> None:
        with self._on(instance) as found:
            power.start(found.domain)

    def stop(self, instance: Instance) -> None:
        with self._on(instance) as found:
            power.stop(found.domain, found.label)

    def kill(self, instance: Instance) -> None:
        with self._on(instance) as found:
            power.kill(found.domain)

    def reboot(self, instance: Instance, deadline: Deadline) -> Endpoint:
        with self._on(instance) as found:
            patience = self._patient(deadline, found.label)
            power.reboot(instance.name, self._ready(found, instance, patience), patience)
            return self._ready(found, instance, patience)

    def freeze(self, instance: Instance) -> None:
        with self._on(instance) as found:
            if readiness.status(found.domain) == "running":
                found.domain.suspend()

    def thaw(self, instance: Instance) -> None:
        with self._on(instance) as found:
            if readiness.status(found.domain) == "frozen":
                found.domain.resume()

    def partition(self, instance: Instance, *, cut: bool) -> None:
        import libvirt

        with self._on(instance) as found:
            live = libvirt.VIR_DOMAIN_AFFECT_LIVE
            for interface in machine.link_elements(found.domain, up=not cut):
                found.domain.updateDeviceFlags(interface, live)

    def console(self, instance: Instance) -> str:
        with self._on(instance) as found:
            return screen.text(machine.console_of(found.label))

    def screenshot(self, instance: Instance) -> bytes:
        with self._on(instance) as found:
            return screen.picture(found.domain)

    def _host(self, spec: PlatformSpec | None) -> Hypervisor:
        """The platform's daemon, or the usual one. Raises DriverFailed."""
        uri = (machine.options_of(spec).uri if spec is not None else None) or hypervisor.default_uri()
        with self._lock:
            if uri not in self._hosts:
                self._hosts[uri] = hypervisor.connect(uri)
            return self._hosts[uri]

    @contextmanager
    def _on(self, instance: Instance) -> Iterator[Found]:
        host = self._host(instance.spec)
        with hypervisor.explained(instance.name):
            domain, label = readiness.look_up(host, instance)
            yield Found(host, domain, label)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Instances go by `destroy`; what is not kept goes with its site."""
        try:
            self._unkept.remove()
        finally:
            with self._lock:
                hosts, self._hosts = self._hosts, {}
            for host in hosts.values():
                host.close()
