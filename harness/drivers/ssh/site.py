"""The scope of one scenario's run: machines taken for it, asked whether they answer, and given back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from harness.deadline import Deadline
from harness.drivers.answering import answering, restart
from harness.drivers.base import Driver, Instance, InstanceRecord, PlatformSpec, RunId, ScenarioRef, Site, Snapshot
from harness.drivers.ssh import claims
from harness.drivers.ssh.options import SshOptions
from harness.errors import DriverFailed, InstanceGone, TransportFailed, Unsupported
from harness.models.endpoint import Ssh

if TYPE_CHECKING:
    from harness.connections.ssh_target import Target

_PATIENCE = 10.0
"""Seconds for a machine that is said to be up."""


class SshSite(Site):
    def __init__(self, driver: Driver, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        super().__init__(driver, scenario, run, keep=keep)
        self._taken: set[str] = set()

    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        """Nothing is made: each machine is claimed. Raises DriverFailed, Locked."""
        taken: list[Instance] = []
        try:
            for spec in specs:
                taken.append(self._take(spec, bases))
        except BaseException:
            for instance in taken:
                self.destroy(instance)
            raise
        return taken

    def _take(self, spec: PlatformSpec, bases: Mapping[str, Snapshot]) -> Instance:
        if spec.image is not None or spec.name in bases:
            raise DriverFailed(
                f"{spec.name}: the ssh driver takes machines as they are: there is no image and no snapshot",
                hint="leave `image` out, or use another driver",
            )
        if spec.os == "windows":
            raise DriverFailed(f"{spec.name}: the ssh driver reaches POSIX systems only", hint="use another driver")
        endpoint = self._endpoint(spec)
        machine, through = self._machine(endpoint, spec.name)
        identifier = claims.identify(machine.host, machine.port, through)
        place = machine.host + (f" port {machine.port}" if machine.port != 22 else "")
        claim = claims.claim(identifier, place, spec, self.scenario, self.run, kept=self.keep, now=time.time())
        if not self.keep:
            self._taken.add(identifier)
        return Instance(spec, claim.record())

    def _endpoint(self, spec: PlatformSpec) -> Ssh:
        options = _options(spec)
        password = options.password
        return Ssh(
            host=options.address or spec.name,
            port=options.port,
            user=options.user,
            identities=(self._path(options.identity_file),) if options.identity_file else (),
            known_hosts=self._path(options.known_hosts) if options.known_hosts else None,
            password_env=password.env if password else None,
            password_file=self._path(password.file) if password and password.file else None,
            proxy_jump=options.proxy_jump,
            proxy_command=options.proxy_command,
            use_config=options.use_config,
            environment=options.environment,
        )

    @staticmethod
    def _machine(endpoint: Ssh, name: str) -> tuple[Target, str]:
        """Whatever alias leads to it; and what lies between. Raises DriverFailed where the ssh config is wrong."""
        from harness.connections.ssh_target import route

        try:
            *jumps, machine = route(endpoint)
        except TransportFailed as error:
            raise DriverFailed(f"{name}: {error.message}", hint=error.hint) from error
        return machine, ",".join(jump.address for jump in jumps) or machine.proxy_command or ""

    def _path(self, text: str) -> str:
        return str((self.scenario.directory / Path(text).expanduser()).absolute())

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        claim = claims.find(record.id)
        if claim is None or claim.run != str(record.run):
            raise InstanceGone(f"{spec.name}: its machine was given back", hint="`harness create` takes it again")
        return Instance(spec, claim.record())

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Ssh:
        patience = Deadline(min(_PATIENCE, deadline.remaining()))
        return answering(self._endpoint(instance.spec), instance.name, patience)

    def reboot(self, instance: Instance, deadline: Deadline) -> Ssh:
        """Raises Unsupported unless the platform allows it; NotReady when its boot id does not change in time."""
        if not _options(instance.spec).allow_reboot:
            raise Unsupported(
                "a reboot",
                by=f"{instance.name} (it is not ours)",
                hint="`allow_reboot: true` on the platform allows it",
            )
        return restart(self._endpoint(instance.spec), instance.name, deadline)

    def destroy(self, instance: Instance) -> None:
        """The machine is given back as it is."""
        claims.release(instance.record.id, instance.record.run)
        self._taken.discard(instance.record.id)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for identifier in self._taken:
            claims.release(identifier, self.run)
        self._taken.clear()


def _options(spec: PlatformSpec) -> SshOptions:
    return spec.options if isinstance(spec.options, SshOptions) else SshOptions()
