"""The instances that one run works on: made or adopted, made ready, connected, destroyed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from harness import registry
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import Driver, Instance, PlatformSpec, RunId, ScenarioRef, Site, Snapshot
from harness.errors import HarnessError, InstanceGone
from harness.faults.ways import Ways
from harness.lifecycle.journal import InstanceRow, Journal, spec_digest
from harness.models.endpoint import Endpoint, Ssh
from harness.models.facts import Facts
from harness.models.shaping import Shaping

_GOODBYES = 32
"""Connections that are closed at a time."""


@dataclass
class Member:
    """One platform as it stands in this run. `fresh`: this run made it."""

    spec: PlatformSpec
    instance: Instance
    site: Site
    fresh: bool
    prepared: bool = False
    snapshot: str = ""
    """The key of the snapshot that it started from, or went on from."""
    converged_run: RunId | None = None
    converged_plan: str | None = None
    endpoint: Endpoint | None = None
    connection: Connection | None = None
    redirected: Endpoint | None = None
    """Where a fault leads those who want to reach it."""
    facts: Facts | None = None
    """What it told of itself when it was made."""

    @property
    def run(self) -> RunId:
        """The run that made it: under this one it is written down and labelled."""
        return self.instance.record.run


class Fleet:
    """`keep`: what it makes outlives the process (see `Driver.open`). `owned`: it is kept on purpose from the
    moment it exists (create, converge), and not only once the run says so (test --destroy=never).
    `clock`: the run's."""

    def __init__(
        self,
        ref: ScenarioRef,
        specs: Sequence[PlatformSpec],
        run: RunId,
        journal: Journal,
        *,
        keep: bool,
        owned: bool,
        ways: Mapping[str, Shaping] | None = None,
        clock: Deadline | None = None,
    ) -> None:
        self.ref = ref
        self.specs = {spec.name: spec for spec in specs}
        self.run = run
        self.members: dict[str, Member] = {}
        self._journal = journal
        self._keep = keep
        self._owned = owned
        self._clock = clock
        self._sites: dict[str, Site] = {}
        self._stack = ExitStack()
        self.ways = self._stack.enter_context(Ways(ways or {}))
        self._lock = threading.Lock()

    @property
    def missing(self) -> list[str]:
        """Platforms that do not exist yet."""
        return [name for name in self.specs if name not in self.members]

    def drivers(self) -> dict[str, list[PlatformSpec]]:
        by_driver: dict[str, list[PlatformSpec]] = {}
        for spec in self.specs.values():
            by_driver.setdefault(spec.driver, []).append(spec)
        return by_driver

    def adopt(self, warn: Callable[[str], None], *, to_destroy: bool = False) -> None:
        """Take over the scenario's kept instances; one that has gone is said so and forgotten.

        `to_destroy`: one that cannot be taken over is passed by; it will be found by its labels."""
        for name, row in self._journal.kept(self.ref.name).items():
            spec = self.specs.get(name)
            if spec is None or name in self.members:
                continue
            try:
                self._adopt(spec, row, warn)
            except InstanceGone as error:
                warn(f"{name} has gone ({error.message}); it will be made again")
                self._journal.destroyed(row.run, self.ref.name, name)
            except HarnessError:
                if not to_destroy:
                    raise

    def _adopt(self, spec: PlatformSpec, row: InstanceRow, warn: Callable[[str], None]) -> None:
        if row.driver != spec.driver:
            raise HarnessError(
                f"{spec.name} was made by the {row.driver} driver, but the scenario now asks for {spec.driver}",
                hint=f"harness destroy -s {self.ref.name}",
            )
        if row.spec != spec_digest(spec):
            warn(
                f"{spec.name} was made from a platform that has since been changed in the scenario; "
                f"it is used as it is (harness destroy -s {self.ref.name} makes way for the new one)"
            )
        site = self.site(spec.driver)
        instance = site.adopt(spec, row.record(self.ref.project))
        self.members[spec.name] = Member(
            spec,
            instance,
            site,
            fresh=False,
            prepared=row.prepared,
            snapshot=row.snapshot,
            converged_run=row.converged_run,
            converged_plan=row.converged_plan,
            facts=row.facts if row.spec == spec_digest(spec) else None,
        )

    def create(self, driver: str, names: Sequence[str], bases: Mapping[str, Snapshot] | None = None) -> None:
        """Create these platforms of one driver, each from its base if it has one; written down before, and again when
        they exist."""
        specs = [self.specs[name] for name in names]
        site = self.site(driver)
        self._journal.creating(self.run, self.ref.name, specs)
        try:
            instances = site.create(specs, {name: base for name, base in (bases or {}).items() if name in names})
        except HarnessError:
            # A site that fails leaves nothing of the call; after anything else (a kill, a defect) the rows stay.
            for spec in specs:
                self._journal.destroyed(self.run, self.ref.name, spec.name)
            raise
        with self._lock:
            for instance in instances:
                self.members[instance.name] = Member(instance.spec, instance, site, True)
        self._journal.created([instance.record for instance in instances], keep=self._owned)

    def make_ready(self, name: str, deadline: Deadline) -> Connection:
        """Wait until it can be reached, and connect. Raises NotReady, TransportFailed."""
        from harness.connections import open_connection

        member = self.members[name]
        if member.connection is None:
            member.endpoint = member.redirected or self._endpoint(member, deadline)
            member.connection = open_connection(member.endpoint, name=name)
        return member.connection

    def _endpoint(self, member: Member, deadline: Deadline) -> Endpoint:
        endpoint = member.site.wait_ready(member.instance, deadline)
        if isinstance(endpoint, Ssh) and member.spec.name in self.ways:
            return self.ways.through(member.spec.name, endpoint)
        return endpoint

    def redirect(self, name: str, endpoint: Endpoint | None) -> None:
        """Close its connection; the next one leads to `endpoint`, or where it is None to the platform's own."""
        member = self.members.get(name)
        if member is not None:
            member.redirected = endpoint
            self._disconnect(member)

    def connection(self, name: str) -> Connection:
        connection = self.members[name].connection
        assert connection is not None, f"{name} has not been made ready"
        return connection

    def destroy(self, name: str) -> None:
        """Disconnect and destroy it; a second call does nothing."""
        member = self.members.get(name)
        if member is None:
            return
        self._disconnect(member)
        with suppress(HarnessError):  # a journal that cannot be written must not keep it alive
            self._journal.destroying(member.run, self.ref.name, name)
        member.site.destroy(member.instance)
        with suppress(HarnessError):
            self._journal.destroyed(member.run, self.ref.name, name)
        with self._lock:
            self.members.pop(name, None)

    def revert(self, name: str, snapshot: Snapshot, deadline: Deadline) -> None:
        """Back to the snapshot, and connected again. Raises DriverFailed, TransportFailed."""
        self._anew(name, lambda member: member.site.revert(member.instance, snapshot, deadline))

    def restart(self, name: str, deadline: Deadline) -> None:
        """Its files stay, its processes end; connected again. Raises DriverFailed, TransportFailed."""
        self._anew(name, lambda member: member.site.reboot(member.instance, deadline))

    def _anew(self, name: str, renew: Callable[[Member], Endpoint]) -> None:
        from harness.connections import open_connection

        member = self.members[name]
        self._disconnect(member)
        member.endpoint = renew(member)
        member.connection = open_connection(member.endpoint, name=name)

    def hand_over(self) -> int:
        """What this run made belongs to the scenario from now on, until `destroy`. How many older ones do already."""
        older = sum(row.keep and row.run != self.run for row in self._journal.instances(self.ref.name))
        self._journal.keep(self.run, self.ref.name)
        for member in self.members.values():
            record = replace(member.instance.record, kept=True)
            member.instance = replace(member.instance, record=record)
        return older

    def site(self, driver: str) -> Site:
        """The run's scope in this driver, opened when it is first asked for. Raises DriverFailed."""
        with self._lock:
            if driver not in self._sites:
                opened: Driver = registry.driver(driver)
                site = self._stack.enter_context(opened.open(self.ref, self.run, keep=self._keep))
                site.clock = self._clock
                self._sites[driver] = site
            return self._sites[driver]

    def _disconnect(self, member: Member) -> None:
        connection, member.connection = member.connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close connections and sites; instances stay."""
        members = list(self.members.values())
        try:
            if len(members) > 1:  # each says goodbye to its host, and waits for the answer
                with ThreadPoolExecutor(min(len(members), _GOODBYES), "goodbye") as pool:
                    list(pool.map(self._disconnect, members))
            elif members:
                self._disconnect(members[0])
        finally:
            self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
