"""The driver: what it is; all that needs Vagrant is imported when it is used."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import ClassVar

from harness.drivers.base import Capability, Driver, InstanceRecord, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.vagrant.options import VagrantOptions
from harness.errors import Problem


def _has_package() -> bool:
    """A mere folder `vagrant` in the working folder can be imported, too (PEP 420): that is not it."""
    spec = find_spec("vagrant")
    return spec is not None and spec.origin is not None


class VagrantDriver(Driver):
    name: ClassVar[str] = "vagrant"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.SNAPSHOT,
            Capability.REBOOT,
            Capability.INIT_SYSTEM,
            Capability.ISOLATED,
            Capability.OWNED,
            Capability.PARALLEL,
            Capability.OWN_CLOCK,
        }
    )
    platform_options = VagrantOptions
    usual_image = "debian-12"

    def check(self, spec: PlatformSpec) -> list[Problem]:
        options = spec.options
        if spec.image or not isinstance(options, VagrantOptions):
            return []
        if options.box or options.default_box or options.vagrantfile:
            return []
        return [Problem("box", "a machine needs a box", "`box: NAME`, or `image: debian-12`, which is made here")]

    def diagnose(self) -> list[Problem]:
        from harness.drivers.vagrant import pools, providers

        problems = self.obstacles()
        if not problems and providers.choose(None, ours=False) == providers.LIBVIRT:
            problems = pools.problems()
        return problems

    def obstacles(self) -> list[Problem]:
        from harness.drivers.vagrant import missing, providers

        problems = []
        if not _has_package():
            problems.append(Problem("vagrant driver", missing.PACKAGE, missing.INSTALL_PACKAGE))
        if find_spec("asyncssh") is None:
            hint = "pip install 'harness-e2e[ssh]'"
            problems.append(Problem("vagrant driver", "the Python package asyncssh is missing", hint))
        if shutil.which("vagrant") is None:
            problems.append(Problem("vagrant driver", missing.VAGRANT, missing.INSTALL_VAGRANT))
        elif not providers.found():
            problems.append(Problem("vagrant driver", missing.PROVIDER, missing.INSTALL_PROVIDER))
        return problems

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> Site:
        from harness.drivers.vagrant.site import VagrantSite

        return VagrantSite(self, scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        from harness.drivers.vagrant import remains

        return remains.instances()

    def reap(self, record: InstanceRecord) -> None:
        from harness.drivers.vagrant import remains

        remains.reap(record)
