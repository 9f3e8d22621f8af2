"""The scope of one scenario's run: containers on a network of their own, made side by side and found again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from harness import daemon
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
)
from harness.drivers.docker import (
    container,
    daemons,
    images,
    labels,
    login,
    networks,
    privileged,
    pulls,
    readiness,
    refusals,
    remains,
    snapshots,
)
from harness.drivers.docker.container import Wanted
from harness.drivers.docker.options import NetworkDefinition
from harness.drivers.parallel import side_by_side
from harness.drivers.unkept import Unkept
from harness.errors import DriverFailed, HarnessError, InstanceGone
from harness.models.endpoint import DaemonAddress, Docker, Endpoint, Ssh

if TYPE_CHECKING:
    from docker.api.client import APIClient

_STOP_SECONDS = 10


@dataclass
class Host:
    """A daemon, as this site uses it."""

    address: DaemonAddress
    client: APIClient
    group: str = ""
    """Of the scenario's networks there, once there is one; perhaps that of an adopted instance."""
    networks: set[str] = field(default_factory=set)
    """Those of the group that are surely there."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class DockerSite(Site):
    def __init__(self, driver: Driver, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        super().__init__(driver, scenario, run, keep=keep)
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()
        self._unkept = Unkept()
        self._names: dict[str, str] = {}
        """The containers, by platform."""

    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        for spec in specs:
            self._names[spec.name] = labels.container_name(self.scenario, self.run, spec.name)
        found: images.Found = {}
        wanted = [(self._host(spec), self._wanted(spec, bases.get(spec.name), found=found)) for spec in specs]
        defined = {one.name: one for spec in specs for one in daemons.options_of(spec).docker_networks}
        try:
            for host, one in wanted:
                self._watch(host, self._record(host, one), volumes=not one.options.keep_volumes)
                self._make_networks(host, one, defined)
            side_by_side([partial(self._make, host, one) for host, one in wanted])
        except BaseException:
            side_by_side([partial(self._abandon, host, one) for host, one in wanted])
            raise
        return [Instance(one.spec, self._record(host, one)) for host, one in wanted]

    def _wanted(self, spec: PlatformSpec, base: Snapshot | None, *, name: str = "", found: images.Found) -> Wanted:
        host, options = self._host(spec), daemons.options_of(spec)
        if spec.os != "linux":
            raise DriverFailed(f"{spec.name}: containers of {spec.os} are not made here", hint="use another driver")
        with self._explained(host, spec.name):
            if base is not None:
                image = snapshots.find(host.client, self.scenario, base)
                if image is None:
                    raise DriverFailed(
                        f"{spec.name}: the snapshot {base.key!r} no longer exists",
                        hint="`harness snapshot list` shows those there are",
                    )
            else:
                with self.aside():
                    image = images.resolve(host.client, spec, options, self.scenario, found=found)
        name = name or labels.container_name(self.scenario, self.run, spec.name)
        group = "" if options.network_mode is not None else self._group(host)
        with self._explained(host, spec.name):
            places = networks.memberships(host.client, group, spec.name, options, self._names)
            digest = None if base is not None or image.startswith(images.OURS) else pulls.digest_of(host.client, image)
        told = labels.make(self.scenario, self.run, name=name, platform=spec.name, kept=self.keep, network=group)
        told |= {labels.DIGEST: digest} if digest else {}
        return Wanted(spec, options, name, image, told, group, places, self.scenario.directory)

    def _group(self, host: Host) -> str:
        return host.group or labels.network_name(self.scenario, self.run)

    def _make(self, host: Host, wanted: Wanted) -> None:
        with self._explained(host, wanted.spec.name):
            version = str(host.client.info().get("CgroupVersion") or "1") if wanted.options.init == "systemd" else "1"
            identifier = container.create(host.client, wanted, cgroup_version=version)
            host.client.start(identifier)

    def _record(self, host: Host, wanted: Wanted) -> InstanceRecord:
        record = labels.record(wanted.labels, wanted.name, "running", host.address.url, kind="container")
        assert record is not None
        return record

    def _make_networks(self, host: Host, wanted: Wanted, defined: Mapping[str, NetworkDefinition]) -> None:
        """Those of the group that are not there yet."""
        with host.lock:
            for place in wanted.places:
                own = place.network == wanted.group or place.network.startswith(networks.own_name(wanted.group, ""))
                if own and place.network not in host.networks:
                    definition = defined.get(place.network.removeprefix(networks.own_name(wanted.group, "")))
                    with self._explained(host, wanted.spec.name):
                        networks.make(host.client, self.scenario, self.run, wanted.group, place.network, definition)
                    host.networks.add(place.network)
            host.group = host.group or wanted.group

    def make_network(self) -> str:
        """The scenario's own network on the usual daemon, without waiting for a platform that joins it; its name."""
        host = self._host(None)
        group = self._group(host)
        told = labels.make(self.scenario, self.run, name=group, platform="", kept=self.keep, network=group)
        record = labels.record(told, group, "unused", host.address.url, kind="network")
        assert record is not None
        self._watch(host, record, volumes=False)
        with host.lock, self._explained(host, ""):
            if group not in host.networks:
                networks.make(host.client, self.scenario, self.run, group, group, None)
                host.networks.add(group)
            host.group = group
        return group

    def _watch(self, host: Host, record: InstanceRecord, *, volumes: bool) -> None:
        if not self.keep:
            self._unkept.add(record.id, partial(self._withdraw, host, record.id, volumes=volumes), [record])

    def _withdraw(self, host: Host, name: str, *, volumes: bool) -> None:
        with self._explained(host, name):
            self._remove(host, name, volumes=volumes)
            remains.remove_images(host.client, str(self.run), self.scenario.project)

    def _abandon(self, host: Host, wanted: Wanted) -> None:
        # What is left is found by its labels; the first error tells more.
        with suppress(HarnessError), self._explained(host, wanted.spec.name):
            self._remove(host, wanted.name, volumes=not wanted.options.keep_volumes)

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        host = self._host(spec)
        with self._explained(host, spec.name):
            row = readiness.inspect(host.client, Instance(spec, record))
        told = row["Config"]["Labels"]
        self._names[spec.name] = record.id
        self._join(host, told.get(labels.NETWORK, ""))
        found = labels.record(told, record.id, row["State"]["Status"], host.address.url, kind="container")
        if found is None:
            raise InstanceGone(
                f"{spec.name}: the container {record.id} is not of the harness",
                hint="somebody else has taken its name: docker rename, or docker rm",
            )
        return Instance(spec, found)

    @staticmethod
    def _join(host: Host, group: str) -> None:
        """The networks of an instance that is there already are this site's, too."""
        with host.lock:
            if group and not host.group:
                host.group = group
                host.networks |= networks.existing(host.client, group)

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Endpoint:
        host, options = self._host(instance.spec), daemons.options_of(instance.spec)
        with self._explained(host, instance.name):
            identifier = readiness.wait_running(host.client, instance, deadline)
            if options.init == "systemd":
                readiness.wait_for_systemd(host.client, instance, identifier, deadline)
            endpoint = Docker(container=identifier, daemon=host.address)
            return login.through_sshd(host.client, instance, options, endpoint, deadline)

    def identifier(self, instance: Instance) -> str:
        """The daemon's own id of it."""
        return str(self._row(instance)["Id"])

    def address(self, instance: Instance) -> str:
        """On the first of its networks; empty where it has none."""
        joined = (self._row(instance)["NetworkSettings"].get("Networks") or {}).values()
        return next((str(one["IPAddress"]) for one in joined if one.get("IPAddress")), "")

    def ssh_port(self, instance: Instance) -> int:
        return daemons.options_of(instance.spec).ssh.port

    def offer_ssh(self, instance: Instance, deadline: Deadline) -> Ssh:
        """sshd runs in it from now on, whatever `connection` it asked for."""
        host, options = self._host(instance.spec), daemons.options_of(instance.spec)
        with self._explained(host, instance.name):
            endpoint = Docker(container=self.identifier(instance), daemon=host.address)
            return login.offer(host.client, instance, options, endpoint, deadline)

    def _row(self, instance: Instance) -> dict[str, Any]:
        host = self._host(instance.spec)
        with self._explained(host, instance.name):
            return readiness.inspect(host.client, instance)

    def destroy(self, instance: Instance) -> None:
        host, options = self._host(instance.spec), daemons.options_of(instance.spec)
        with self._explained(host, instance.name):
            self._remove(host, instance.record.id, volumes=not options.keep_volumes)
            if not host.group or instance.record.run != self.run:  # with the last of this run is soon enough
                remains.remove_images(host.client, str(instance.record.run), self.scenario.project)

    def _remove(self, host: Host, name: str, *, volumes: bool) -> None:
        remains.remove_container(host.client, name, volumes=volumes)
        remains.remove_keys(name)
        self._unkept.forget(name)
        with host.lock:
            if host.group and networks.remove(host.client, host.group):
                host.group = ""
                host.networks.clear()

    def back_door(self, instance: Instance) -> Endpoint:
        host = self._host(instance.spec)
        with self._explained(host, instance.name):
            row = readiness.inspect(host.client, instance)
        return privileged.endpoint(row, host.address)

    def kill(self, instance: Instance) -> None:
        with self._on(instance) as (client, name):
            client.kill(name)

    def stop(self, instance: Instance) -> None:
        with self._on(instance) as (client, name):
            client.stop(name, timeout=_STOP_SECONDS)

    def start(self, instance: Instance) -> None:
        with self._on(instance) as (client, name):
            client.start(name)

    def reboot(self, instance: Instance, deadline: Deadline) -> Endpoint:
        with self._on(instance) as (client, name):
            client.restart(name, timeout=_STOP_SECONDS)
        return self.wait_ready(instance, deadline)

    def freeze(self, instance: Instance) -> None:
        with self._on(instance) as (client, name):
            if not client.inspect_container(name)["State"]["Paused"]:
                client.pause(name)

    def thaw(self, instance: Instance) -> None:
        with self._on(instance) as (client, name):
            if client.inspect_container(name)["State"]["Paused"]:
                client.unpause(name)

    def partition(self, instance: Instance, *, cut: bool) -> None:
        with self._on(instance) as (client, name):
            host, options = self._host(instance.spec), daemons.options_of(instance.spec)
            row = client.inspect_container(name)
            group = row["Config"]["Labels"].get(labels.NETWORK, "")
            places = networks.memberships(client, group, instance.name, options, self._names)
            with host.lock:
                networks.partition(client, instance.name, row, options, places, cut=cut)

    def console(self, instance: Instance) -> str:
        with self._on(instance) as (client, name):
            return bytes(client.logs(name)).decode(errors="replace")

    def snapshot(self, instance: Instance, key: str) -> Snapshot:
        missing = container.not_held(daemons.options_of(instance.spec))
        with self._on(instance) as (client, _):
            return snapshots.take(client, instance, self.scenario, self.run, key, missing)

    def origin(self, spec: PlatformSpec) -> Origin:
        host, options = self._host(spec), daemons.options_of(spec)
        with self._explained(host, spec.name):
            with self.aside():
                name = images.resolve(host.client, spec, options, self.scenario)
            image = host.client.inspect_image(name)  # type: ignore[no-untyped-call]
        volumes = [*container.outside(options), *(image["Config"].get("Volumes") or ())]
        return Origin(digest=str(image["Id"]), outside=tuple(dict.fromkeys(volumes)))

    def snapshots(self) -> list[Snapshot]:
        found = [one for host in self._daemons() for one in snapshots.listed(host.client, self.scenario)]
        return sorted(found, key=lambda snapshot: snapshot.created)

    def find_snapshot(self, platform: str, key: str) -> Snapshot | None:
        for host in self._daemons(known=False):
            found = snapshots.look_up(host.client, self.scenario, platform, key)
            if found is not None:
                return found
        return None

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        for host in self._daemons():
            snapshots.delete(host.client, self.scenario, snapshot)

    def _daemons(self, *, known: bool = True) -> Iterator[Host]:
        """Those that this site has spoken to, and with `known` those that this user's platforms have been on; errors
        of what is done with them in a user's words."""
        if known or not self._hosts:
            self._host(None)
        for address in daemons.known()[1:] if known else []:
            with suppress(daemon.DaemonFailed):  # what cannot be reached now is not lost
                self._host_at(address)
        for host in list(self._hosts.values()):
            with self._explained(host, ""):
                yield host

    def revert(self, instance: Instance, snapshot: Snapshot, deadline: Deadline) -> Endpoint:
        """A new container of the same name on the snapshot's image; the old one goes with its processes and files."""
        with self._on(instance) as (client, name):
            if snapshots.find(client, self.scenario, snapshot) is None:
                raise DriverFailed(
                    f"{instance.name}: there is no snapshot {snapshot.key!r} that it could go back to",
                    hint="harness snapshot list",
                )
            host = self._host(instance.spec)
            self._join(host, client.inspect_container(name)["Config"]["Labels"].get(labels.NETWORK, ""))
            wanted = self._wanted(instance.spec, snapshot, name=name, found={})
            wanted.labels.update(self._kept_labels(client, name))
            remains.remove_container(client, name, volumes=not wanted.options.keep_volumes)
            self._make(host, wanted)
        return self.wait_ready(instance, deadline)

    @staticmethod
    def _kept_labels(client: APIClient, name: str) -> dict[str, str]:
        """A container that takes another's place is whose that one was."""
        told = client.inspect_container(name)["Config"]["Labels"]
        return {label: value for label, value in told.items() if label.startswith(labels.PREFIX)}

    def _host(self, spec: PlatformSpec | None) -> Host:
        """The platform's daemon, or the usual one. Raises DaemonFailed."""
        return self._host_at(daemon.default_address() if spec is None else daemons.address_of(daemons.options_of(spec)))

    def _host_at(self, address: DaemonAddress) -> Host:
        with self._lock:
            if address.url not in self._hosts:
                client = daemon.connect(address)
                daemons.remember(address)
                self._hosts[address.url] = Host(address, client)
            return self._hosts[address.url]

    @contextmanager
    def _on(self, instance: Instance) -> Iterator[tuple[APIClient, str]]:
        host = self._host(instance.spec)
        with self._explained(host, instance.name):
            readiness.inspect(host.client, instance)
            yield host.client, instance.record.id

    @staticmethod
    @contextmanager
    def _explained(host: Host, name: str) -> Iterator[None]:
        with refusals.explained(name, host.address):
            yield

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
                host.client.close()
