"""The driver: what it is; all that needs libvirt-python is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.drivers.base import Capability, Driver, InstanceRecord, PlatformSpec, RunId, ScenarioRef
from harness.drivers.libvirt.options import LibvirtOptions
from harness.errors import Problem

if TYPE_CHECKING:
    from harness.drivers.libvirt.site import LibvirtSite


class LibvirtDriver(Driver):
    name: ClassVar[str] = "libvirt"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.SNAPSHOT,
            Capability.LIVE_STATE,
            Capability.REBOOT,
            Capability.INIT_SYSTEM,
            Capability.ISOLATED,
            Capability.OWNED,
            Capability.PARALLEL,
            Capability.CONSOLE,
            Capability.SCREENSHOT,
            Capability.FREEZE,
            Capability.PARTITION,
            Capability.OWN_CLOCK,
        }
    )
    platform_options = LibvirtOptions
    usual_image = "debian-12"

    def check(self, spec: PlatformSpec) -> list[Problem]:
        if spec.image:
            return []
        return [Problem("image", "a virtual machine needs an image", "`image: debian-12` is made here")]

    def diagnose(self) -> list[Problem]:
        from harness.drivers.libvirt import diagnosis

        return diagnosis.diagnose()

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> LibvirtSite:
        from harness.drivers.libvirt.site import LibvirtSite

        return LibvirtSite(self, scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        from harness.drivers.libvirt import remains

        return remains.instances()

    def reap(self, record: InstanceRecord) -> None:
        from harness.drivers.libvirt import remains

        remains.reap(record)
