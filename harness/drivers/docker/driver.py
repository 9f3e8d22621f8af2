"""The driver: what it is; all that needs the docker SDK is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.drivers.base import Capability, Driver, InstanceRecord, PlatformSpec, RunId, ScenarioRef
from harness.drivers.docker.options import DockerOptions
from harness.errors import Problem

if TYPE_CHECKING:
    from harness.drivers.docker.site import DockerSite


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
    usual_image = "debian-12"

    def check(self, spec: PlatformSpec) -> list[Problem]:
        if spec.image or (isinstance(spec.options, DockerOptions) and spec.options.dockerfile):
            return []
        return [Problem("image", "a container needs an image", "`image: debian-12` is made here")]

    def diagnose(self) -> list[Problem]:
        from harness import daemon

        try:
            daemon.connect(daemon.default_address(), timeout=10).close()
        except daemon.DaemonFailed as error:
            return [Problem("docker driver", error.message, error.hint)]
        return []

    def systemd_trial(self) -> PlatformSpec | None:
        from harness import daemon
        from harness.drivers.docker.images import OURS

        client = daemon.connect(daemon.default_address(), timeout=10)
        try:
            tags = [tag for row in client.images(name=f"{OURS}debian-12-systemd") for tag in row["RepoTags"] or ()]
        finally:
            client.close()
        options = DockerOptions(init="systemd", network_mode="none")
        return PlatformSpec("doctor", self.name, image=tags[0], options=options) if tags else None

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> DockerSite:
        from harness.drivers.docker.site import DockerSite

        return DockerSite(self, scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        from harness.drivers.docker import remains

        return remains.instances()

    def reap(self, record: InstanceRecord) -> None:
        from harness.drivers.docker import remains

        remains.reap(record)
