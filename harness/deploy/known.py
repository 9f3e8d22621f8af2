"""What is known of hosts and of this machine before a decision: targets, toolchains, whether Ansible is here."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness.compile.targets import normal_arch, target_for
from harness.deploy.become import ROOT
from harness.deploy.decide import Circumstances, Decision, decide
from harness.errors import ToolchainMissing
from harness.models.facts import Facts

if TYPE_CHECKING:
    from harness.compile.base import Compiler
    from harness.drivers.base import PlatformSpec
    from harness.models.config import DeploymentStrategy
    from harness.models.runner import Payload


class Surveyor:
    """Asks a compiler about each target once."""

    def __init__(self, compiler: Compiler) -> None:
        self._parts = compiler.honours().parts
        self._diagnose = cache(lambda target: tuple(str(problem) for problem in compiler.diagnose(target)))

    def circumstances(self, strategy: DeploymentStrategy, facts: Facts) -> Circumstances:
        """For a host with these facts."""
        ssh = ssh_obstacles(facts)
        try:
            target = target_for(facts)
        except ToolchainMissing as error:
            return Circumstances(strategy, None, (error.message,), ssh, self._parts)
        return Circumstances(strategy, target, self._diagnose(target), ssh, self._parts)


def expected_facts(spec: PlatformSpec) -> Facts:
    """Of a platform that nobody has probed: what the scenario says it will be."""
    return Facts(os=spec.os, arch=spec.arch or normal_arch(platform.machine()), user=_expected_user(spec))


def _expected_user(spec: PlatformSpec) -> str:
    """Whom a runner will be started by. What an image, a box or an ssh config says of it nobody has asked."""
    options = spec.options
    sshd = getattr(options, "ssh", None)
    if spec.driver == "vagrant":
        user = getattr(options, "user", None) or "vagrant"  # every box's, by Vagrant's convention
    elif sshd is not None and getattr(options, "connection", None) == "ssh":
        user = sshd.user
    else:
        user = getattr(options, "user", None) or ROOT
    user = user.partition(":")[0]  # Docker's USER:GROUP
    return ROOT if user == "0" else user


def ssh_obstacles(facts: Facts) -> tuple[str, ...]:
    """What keeps Ansible from doing anything on a host with these facts."""
    found = []
    if facts.os == "windows":
        found.append("Ansible reaches Windows over WinRM, which this version does not offer")
    playbook = Path(sys.executable).with_name("ansible-playbook")
    if find_spec("ansible_runner") is None:
        found.append("ansible-runner is not installed here (pip install 'harness-e2e[ansible]')")
    elif not playbook.exists() and shutil.which("ansible-playbook") is None:
        found.append("ansible-playbook is not installed here (pip install 'harness-e2e[ansible]')")
    return tuple(found)


def decide_all(
    payloads: Sequence[Payload],
    strategies: Mapping[str, DeploymentStrategy],
    facts: Mapping[str, Facts],
    compiler: Compiler,
) -> dict[str, Decision]:
    """A decision for every host that has a strategy and facts, in the order of `strategies`."""
    surveyor = Surveyor(compiler)
    slice_of = {host: payload for payload in payloads for host in payload.run_on}
    return {
        host: decide(host, slice_of.get(host), surveyor.circumstances(strategy, facts[host]))
        for host, strategy in strategies.items()
    }
