"""The driver: what it is; all that needs asyncssh is imported when it is used."""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar

from harness.drivers.base import Capability, Driver, InstanceRecord, RunId, ScenarioRef, Site
from harness.drivers.ssh.options import SshOptions
from harness.errors import Problem


class SshDriver(Driver):
    name: ClassVar[str] = "ssh"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.REBOOT, Capability.INIT_SYSTEM, Capability.PARALLEL}
    )
    platform_options = SshOptions
    first_step = "say in molecule.yml where the machine is: `address`, `user`, `identity_file` (docs/ssh.md)"

    def diagnose(self) -> list[Problem]:
        if find_spec("asyncssh") is None:
            return [Problem("ssh driver", "the Python package asyncssh is missing", "pip install 'harness-e2e[ssh]'")]
        return []

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> Site:
        from harness.drivers.ssh.site import SshSite

        return SshSite(self, scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        """The machines that this user's runs have claimed: the machines themselves know nothing of it."""
        from harness.drivers.ssh import claims

        return [claim.record() for claim in claims.all_claims()]

    def reap(self, record: InstanceRecord) -> None:
        """Give the machine back; nothing is done to it."""
        from harness.drivers.ssh import claims

        claims.release(record.id, record.run)
