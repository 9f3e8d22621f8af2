"""The driver: what it is; all that needs the docker SDK is imported when it is used."""

from __future__ import annotations

from typing import ClassVar

from harness.drivers.base import Capability, Driver, InstanceRecord, RunId, ScenarioRef, Site
from harness.drivers.docker.options import DockerOptions
from harness.errors import Problem


class DockerDriver(Driver):
    name: ClassVar[str] = "docker"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.SNAPSHOT,
            Capability.REBOOT,
            Capability.INIT_SYSTEM,
            Capability.ISOLATED,
            Capability.OWNED,
            Capability.PARALLEL,
            Capability.CONSOLE,
            Capability.FREEZE,
            Capability.PARTITION,
        }
    )
    platform_options = DockerOptions

    def diagnose(self) -> list[Problem]:
        from harness import daemon

        try:
            daemon.connect(daemon.default_address(), timeout=10).close()
        except daemon.DaemonFailed as error:
            return [Problem("docker driver", error.message, error.hint)]
        return []

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> Site:
        from harness.drivers.docker.site import DockerSite

        return DockerSite(scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        from harness.drivers.docker import remains

        return remains.instances()

    def reap(self, record: InstanceRecord) -> None:
        from harness.drivers.docker import remains

        remains.reap(record)
