"""The scope of one scenario's run: machines of one Vagrantfile, or of a few where their boxes live apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType

from harness.connections import open_connection
from harness.deadline import Deadline
from harness.drivers import images
from harness.drivers.answering import restart
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
from harness.drivers.unkept import Unkept
from harness.drivers.vagrant import login, planning, projects, remains, snapshots
from harness.drivers.vagrant.command import Vagrant
from harness.drivers.vagrant.options import VagrantOptions
from harness.drivers.vagrant.planning import Plan
from harness.drivers.vagrant.projects import Machine, Project
from harness.errors import DriverFailed, HarnessError, InstanceGone
from harness.models.endpoint import Ssh

_BACK_DOOR_SECONDS = 30.0
_CLOCK = """
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" = 0 ]; then date -u -s "@$1"; else sudo -n date -u -s "@$1"; fi >/dev/null
"""


class VagrantSite(Site):
    snapshots_outlive = False

    def __init__(self, driver: Driver, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        super().__init__(driver, scenario, run, keep=keep)
        self._lock = threading.Lock()
        self._clients: dict[str, Vagrant] = {}
        self._unkept = Unkept()
        """Projects of which a machine may exist that nobody keeps, or not yet."""
        self._ways: dict[str, Ssh] = {}
        """By instance, as each was reached last."""

    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        if bases:
            raise DriverFailed(
                f"{', '.join(bases)}: no machine of Vagrant's can begin from another one's snapshot",
                hint="`vagrant package` makes a box of a machine; `box:` names it",
            )
        with self.aside():
            plans = planning.plans(specs, self.scenario, self.run, tell=images.to_stderr)
        made: list[Project] = []
        try:
            for plan in plans:
                made.append(self._announce(plan))
            for project, plan in zip(made, plans, strict=True):
                self._bring_up(project, plan)
        except BaseException:
            for project in made:
                with suppress(HarnessError):  # what is left is found in its folder; the first error tells more
                    self._abandon(project)
            raise
        if self.keep:
            for project in made:
                self._unkept.forget(project.name)
        records = {
            machine.platform: project.record(machine, "running") for project in made for machine in project.machines
        }
        return [Instance(spec, records[spec.name]) for spec in specs]

    def _announce(self, plan: Plan) -> Project:
        with projects.locked():
            project = plan.project(projects.free_name(self.scenario, self.run), kept=self.keep)
            projects.announce(project, plan.text(project.name))
        watched = [] if self.keep else [project.record(machine, "planned") for machine in project.machines]
        self._unkept.add(project.name, partial(remains.destroy, project, project.machines), watched)
        return project

    def _bring_up(self, project: Project, plan: Plan) -> None:
        client = self._client(project, parallel=plan.parallel)
        names = ", ".join(machine.platform for machine in project.machines)
        with _named(names):
            machines = [machine.machine for machine in project.machines]
            client.bring_up(machines, plan.provider, provision=plan.provision)

    def _abandon(self, project: Project) -> None:
        remains.destroy(project, project.machines)
        self._unkept.forget(project.name)

    def _client(self, project: Project, *, parallel: bool = True) -> Vagrant:
        with self._lock:
            if project.name not in self._clients:
                self._clients[project.name] = Vagrant(project, images.to_stderr, parallel=parallel)
            return self._clients[project.name]

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        instance = Instance(spec, record)
        project, machine = self._of(instance)
        with _named(spec.name):
            state = remains.status(project, [machine]).get(machine.machine, "unknown")
        if state == "planned":
            raise InstanceGone(f"{spec.name}: Vagrant's machine is gone", hint="`harness create` makes a new one")
        return Instance(spec, project.record(machine, state))

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Ssh:
        project, machine = self._of(instance)
        found = login.way(self._client(project), machine.machine, instance.name, deadline)
        known_hosts = project.folder / f"known_hosts-{machine.platform}"
        way = login.reach(found, known_hosts, instance.name, _options(instance.spec), deadline)
        self._ways[instance.record.id] = way
        return way

    def destroy(self, instance: Instance) -> None:
        found = projects.of_instance(instance.record.id)
        if found is not None:
            with _named(instance.name):
                remains.destroy(found[0], [found[1]])

    def back_door(self, instance: Instance) -> Ssh:
        return self._ways.get(instance.record.id) or self.wait_ready(instance, Deadline(_BACK_DOOR_SECONDS))

    def start(self, instance: Instance) -> None:
        with self._on(instance) as (client, machine):
            client.up(vm_name=machine.machine, provision=False)

    def stop(self, instance: Instance) -> None:
        with self._on(instance) as (client, machine):
            client.halt(vm_name=machine.machine)

    def kill(self, instance: Instance) -> None:
        with self._on(instance) as (client, machine):
            client.halt(vm_name=machine.machine, force=True)

    def reboot(self, instance: Instance, deadline: Deadline) -> Ssh:
        return restart(self.wait_ready(instance, deadline), instance.name, deadline)

    def snapshot(self, instance: Instance, key: str) -> Snapshot:
        with self._on(instance) as (client, machine):
            project, _ = self._of(instance)
            taken = snapshots.fresh(machine.platform, key)
            client.snapshot("save", machine.machine, taken.name)
            before = snapshots.find(project, machine.platform, key)
            snapshots.put(project, taken)
            if before is not None:
                client.snapshot("delete", machine.machine, before.name)
            return taken.snapshot()

    def origin(self, spec: PlatformSpec) -> Origin:
        return Origin("", unsure="a snapshot of Vagrant's goes with its machine")

    def snapshots(self) -> list[Snapshot]:
        return [taken.snapshot() for _, _, taken in snapshots.listed(self.scenario)]

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        for project, machine, taken in snapshots.listed(self.scenario):
            if (taken.platform, taken.key) == (snapshot.platform, snapshot.key):
                snapshots.drop(project, taken)
                with _named(taken.platform):
                    self._client(project).snapshot("delete", machine.machine, taken.name)

    def revert(self, instance: Instance, snapshot: Snapshot, deadline: Deadline) -> Ssh:
        with self._on(instance) as (client, machine):
            project, _ = self._of(instance)
            taken = snapshots.find(project, machine.platform, snapshot.key)
            if taken is None:
                raise DriverFailed(
                    f"{instance.name}: there is no snapshot {snapshot.key!r} that it could go back to",
                    hint="harness snapshot list",
                )
            client.snapshot("restore", machine.machine, taken.name, "--no-provision")
        endpoint = self.wait_ready(instance, deadline)
        with open_connection(endpoint, name=instance.name) as connection:
            # It has slept since then; where nobody may set it, it stays as it is.
            connection.run(["sh", "-c", _CLOCK, "sh", f"{time.time():.0f}"], timeout=max(1.0, deadline.remaining()))
        return endpoint

    @contextmanager
    def _on(self, instance: Instance) -> Iterator[tuple[Vagrant, Machine]]:
        project, machine = self._of(instance)
        with _named(instance.name):
            yield self._client(project), machine

    @staticmethod
    def _of(instance: Instance) -> tuple[Project, Machine]:
        found = projects.of_instance(instance.record.id)
        if found is None:
            raise InstanceGone(
                f"{instance.name}: {instance.record.id} no longer exists", hint="`harness create` makes a new one"
            )
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Instances go by `destroy`; what is not kept goes with its site."""
        for client in list(self._clients.values()):
            client.stop()
        self._unkept.remove()
        with self._lock:
            self._clients.clear()


def _options(spec: PlatformSpec) -> VagrantOptions:
    return spec.options if isinstance(spec.options, VagrantOptions) else VagrantOptions()


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors tell whose they are."""
    try:
        yield
    except DriverFailed as error:
        if error.message.startswith(f"{name}: "):
            raise
        raise DriverFailed(f"{name}: {error.message}", hint=error.hint) from error
