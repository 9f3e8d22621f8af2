"""Which hosts `harness://...` can mean, and the one connection to each.

In the verify child they come from its job; elsewhere (`pytest --hosts=harness://...`) from the kept instances
of the project's scenarios.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, UsageError
from harness.models.naming import flat_name

if TYPE_CHECKING:
    from harness.connections.base import Connection
    from harness.lifecycle.fleet import Fleet
    from harness.models.verification import VerifyJob

READY = 30.0
"""Seconds that a kept instance has to answer."""


@dataclass(frozen=True)
class Address:
    """One platform of one scenario; `platform.scenario` in a host spec."""

    platform: str
    scenario: str

    def __str__(self) -> str:
        return f"{self.platform}.{flat_name(self.scenario)}"  # a host spec is an URL, whose path testinfra drops


class NobodyLeft(UsageError):
    """The spec means platforms that this run leaves out (`-p`): a reason to skip, not an error."""


class Hosts:
    """Resolves host specs and opens each connection once. Without a job: the project around `start`."""

    def __init__(self, job: VerifyJob | None = None, *, start: Path | None = None) -> None:
        self.job = job
        self._start = start or Path.cwd()
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._open: dict[Address, Connection] = {}
        self._fleets: dict[str, Fleet] = {}

    def resolve(self, spec: str) -> list[Address]:
        """What `node1`, `web`, `all`, `node1.default`, `web.default` or `default` means.

        Raises UsageError for a name that means nothing, NobodyLeft for one that this run leaves out.
        """
        if self.job is not None:
            found = self._in_job(self.job, spec)
            if found:
                return found
        try:
            return self._kept(spec)
        except UsageError as error:
            if self.job is None:
                raise
            names = [host.platform for host in self.job.hosts]
            groups = sorted({group for host in self.job.hosts for group in host.groups} - {"all"})
            known = f"platforms: {', '.join(names)}" + (f"; groups: {', '.join(groups)}" if groups else "")
            raise UsageError(
                f"the scenario {self.job.scenario!r} has no platform or group {spec!r}", hint=known
            ) from error

    def connection(self, address: Address) -> Connection:
        """Raises TransportFailed, NotReady. May be called from several threads at once."""
        with self._lock:
            if address not in self._open:
                self._open[address] = self._stack.enter_context(self._connect(address))
            return self._open[address]

    def close(self) -> None:
        self._open.clear()
        self._fleets.clear()
        self._stack.close()

    def _connect(self, address: Address) -> Connection:
        if self.job is not None and address.scenario == self.job.scenario:
            from harness.connections import open_connection

            for host in self.job.hosts:
                if host.platform == address.platform:
                    return open_connection(host.endpoint, name=host.platform)
        from harness.deadline import Deadline

        return self._fleet(address.scenario).make_ready(address.platform, Deadline(READY))

    def _in_job(self, job: VerifyJob, spec: str) -> list[Address]:
        names = [host.platform for host in job.hosts]
        if spec in names:
            return [Address(spec, job.scenario)]
        own = flat_name(job.scenario)
        if spec in ("all", own):
            return [Address(name, job.scenario) for name in names]
        name = spec.removesuffix(f".{own}")
        if name != spec and name in names:
            return [Address(name, job.scenario)]
        members = names if name == "all" else [host.platform for host in job.hosts if name in host.groups]
        if not members and name in job.left_out:
            raise NobodyLeft(f"{name} is not part of this run")
        return [Address(member, job.scenario) for member in members]

    def _kept(self, spec: str) -> list[Address]:
        """`scenario`, or `platform.scenario` and `group.scenario`; both names may hold dots."""
        from harness.scenario import find_project, list_scenarios

        project = find_project(self._start)
        scenarios = {flat_name(scenario): scenario for scenario in list_scenarios(project)}
        if spec in scenarios:
            return [Address(name, scenarios[spec]) for name in sorted(self._fleet(scenarios[spec]).members)]
        for own, scenario in scenarios.items():
            name = spec.removesuffix(f".{own}")
            if name != spec and name:
                return [Address(member, scenario) for member in self._members(scenario, name)]
        raise UsageError(
            f"harness://{spec}: there is no such scenario in {project}",
            hint=f"harness://PLATFORM.SCENARIO or harness://SCENARIO, with one of: {', '.join(scenarios) or 'none'}",
        )

    def _members(self, scenario: str, name: str) -> Sequence[str]:
        fleet = self._fleet(scenario)
        if name in fleet.specs:
            if name not in fleet.members:
                raise _not_created(f"the platform {name!r} of scenario {scenario!r} does", scenario)
            return [name]
        members = sorted(m for m, spec in fleet.specs.items() if (name in spec.groups or name == "all"))
        if not members:
            known = ", ".join(sorted(fleet.specs))
            raise UsageError(f"the scenario {scenario!r} has no platform or group {name!r}", hint=f"platforms: {known}")
        present = [member for member in members if member in fleet.members]
        if not present:
            raise _not_created(f"the platforms of group {name!r} in scenario {scenario!r} do", scenario)
        return present

    def _fleet(self, scenario: str) -> Fleet:
        """The scenario's kept instances, adopted for as long as this session lasts."""
        if scenario not in self._fleets:
            from harness.drivers.base import RunId
            from harness.lifecycle.fleet import Fleet
            from harness.lifecycle.journal import Journal
            from harness.lifecycle.workspace import Workspace
            from harness.scenario import find_project, load_scenario, load_settings

            project = find_project(self._start)
            loaded = load_scenario(project, scenario, settings=load_settings(project, {}))
            journal = self._stack.enter_context(Journal.open_for_reading(Workspace.of(project).database))
            fleet = self._stack.enter_context(
                Fleet(loaded.ref, loaded.platforms, RunId("pytest"), journal, keep=True, owned=True)
            )
            gone: list[str] = []
            fleet.adopt(gone.append)
            if not fleet.members:
                raise _not_created(f"the platforms of scenario {scenario!r} do", scenario, gone)
            self._fleets[scenario] = fleet
        return self._fleets[scenario]


def _not_created(who: str, scenario: str, gone: Sequence[str] = ()) -> HarnessError:
    words = f"{who} not exist" + (f" ({'; '.join(gone)})" if gone else "")
    return UsageError(words, hint=f"create and converge them: harness converge -s {scenario}")
