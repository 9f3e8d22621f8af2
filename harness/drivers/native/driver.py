"""The driver and its site. On Linux a platform is a sandbox; elsewhere it is this machine itself, on request."""

from __future__ import annotations

import os
import sys
from typing import ClassVar

from harness.drivers.base import Capability, Driver, InstanceRecord, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.native.options import NativeOptions
from harness.errors import Problem


class NativeDriver(Driver):
    name: ClassVar[str] = "native"
    if sys.platform == "linux":
        capabilities: ClassVar[frozenset[Capability]] = frozenset(
            {
                Capability.SNAPSHOT,
                Capability.REBOOT,
                Capability.INIT_SYSTEM,
                Capability.ISOLATED,
                Capability.OWNED,
                Capability.PARALLEL,
                Capability.FREEZE,
            }
        )
    else:
        capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PARALLEL})
    platform_options = NativeOptions

    def check(self, spec: PlatformSpec) -> list[Problem]:
        options = spec.options
        if isinstance(options, NativeOptions) and options.init == "systemd" and spec.image is None:
            why = "the host's own units must not run twice"
            return [Problem("init", "`init: systemd` needs an image", f"add `image: debian-12`: {why}")]
        return []

    def diagnose(self) -> list[Problem]:
        if sys.platform == "linux":
            from harness.drivers.native import diagnosis

            return diagnosis.diagnose()
        return []

    def obstacles(self) -> list[Problem]:
        if sys.platform == "linux":
            from harness.drivers.native import diagnosis

            return diagnosis.obstacles()
        return []

    def limits(self) -> list[Problem]:
        if sys.platform == "linux":
            from harness.drivers.native import diagnosis

            return diagnosis.limits()
        return []

    def systemd_trial(self) -> PlatformSpec | None:
        from harness.drivers import images

        if sys.platform != "linux" or os.geteuid() != 0 or images.find("debian-12") is None:
            return None
        return PlatformSpec("doctor", self.name, image="debian-12", options=NativeOptions(init="systemd"))

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> Site:
        if sys.platform == "linux":
            from harness.drivers.native.site import NativeSite

            return NativeSite(self, scenario, run, keep=keep)
        from harness.drivers.native.itself import ItselfSite

        return ItselfSite(self, scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        if sys.platform == "linux":
            from harness.drivers.native import remains

            return remains.instances()
        return []

    def reap(self, record: InstanceRecord) -> None:
        if sys.platform == "linux":
            from harness.drivers.native import remains

            remains.remove(record.id)
