"""The scope of one scenario's run: machines taken for it, asked whether they answer, and given back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline, poll
from harness.drivers.base import Instance, InstanceRecord, PlatformSpec, RunId, ScenarioRef, Site, Snapshot
from harness.drivers.ssh import claims
from harness.drivers.ssh.driver import SshDriver
from harness.drivers.ssh.options import SshOptions
from harness.errors import (
    CommandTimedOut,
    DriverFailed,
    InstanceGone,
    NotReady,
    TransportFailed,
    Unreachable,
    Unsupported,
)
from harness.models.endpoint import Ssh

_PATIENCE = 10.0
"""Seconds for a machine that is said to be up."""
_BOOT_ID = (
    "cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.boottime 2>/dev/null || "
    "sysctl -n kern.boot_id 2>/dev/null"
)
# Aside and later, so that this command still gets its answer.
_REBOOT = """
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" = 0 ]; then become=; elif sudo -n true 2>/dev/null; then become='sudo -n'; else
echo 'only root may restart it, and sudo wants a password' >&2; exit 1; fi
command -v reboot >/dev/null || { echo 'there is no reboot' >&2; exit 1; }
nohup sh -c "sleep 1; $become reboot" >/dev/null 2>&1 </dev/null &
"""


class SshSite(Site):
    capabilities = SshDriver.capabilities
    name = SshDriver.name

    def __init__(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> None:
        self.scenario = scenario
        self.run = run
        self.keep = keep
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
        identifier = claims.identify(endpoint.host, endpoint.port, endpoint.proxy_jump or endpoint.proxy_command)
        place = endpoint.host + (f" port {endpoint.port}" if endpoint.port else "")
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

    def _path(self, text: str) -> str:
        return str((self.scenario.directory / Path(text).expanduser()).absolute())

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        claim = claims.find(record.id)
        if claim is None or claim.run != str(record.run):
            raise InstanceGone(f"{spec.name}: its machine was given back", hint="`harness create` takes it again")
        return Instance(spec, claim.record())

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Ssh:
        patience = Deadline(min(_PATIENCE, deadline.remaining()))
        return self._answering(instance, patience, lambda connection: connection.run("true", timeout=_PATIENCE).ok)

    def _answering(self, instance: Instance, deadline: Deadline, is_right: Callable[[Connection], bool]) -> Ssh:
        endpoint = self._endpoint(instance.spec)

        def answers(last: bool) -> Ssh | None:
            with open_connection(endpoint, name=instance.name) as connection:
                try:
                    if is_right(connection):
                        return endpoint
                    words, hint = "it answers, but was not restarted: its boot id is the same", None
                except (Unreachable, CommandTimedOut) as error:
                    words, hint = error.message.removeprefix(f"{instance.name}: "), error.hint
                except TransportFailed as error:
                    raise NotReady(error.message, hint=error.hint) from error
            if last:
                raise NotReady(f"{instance.name}: after {deadline.elapsed():.0f} s: {words}", hint=hint)
            return None

        found = poll(answers, deadline, interval=0.2, slowest=2.0)
        assert found is not None
        return found

    def reboot(self, instance: Instance, deadline: Deadline) -> Ssh:
        """Raises Unsupported unless the platform allows it; NotReady when its boot id does not change in time."""
        if not _options(instance.spec).allow_reboot:
            raise Unsupported(
                "a reboot",
                by=f"{instance.name} (it is not ours)",
                hint="`allow_reboot: true` on the platform allows it",
            )
        with open_connection(self._endpoint(instance.spec), name=instance.name) as connection:
            before = _boot_id(connection, deadline)
            if not before:
                raise DriverFailed(f"{instance.name}: it has no boot id, so that a restart could not be proven")
            done = connection.run(_REBOOT, timeout=30)
            if not done.ok:
                raise DriverFailed(f"{instance.name}: it cannot be restarted: {done.err.strip()}")
        return self._answering(
            instance, deadline, lambda connection: _boot_id(connection, deadline) not in ("", before)
        )

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


def _boot_id(connection: Connection, deadline: Deadline) -> str:
    return connection.run(_BOOT_ID, timeout=max(1.0, min(10.0, deadline.remaining()))).out.strip()
