"""A plan against the strategies of its platforms: what they could not carry out is known before anything is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path

from harness.compile.base import Honours
from harness.deploy.segments import segments_of, unhonoured
from harness.errors import HarnessError, Problem
from harness.models.config import ForceSSH, Hybrid
from harness.models.plan import Handler, Plan, Task
from harness.models.problems import shown
from harness.models.runner import Payload
from harness.models.scenario import Scenario
from harness.plan.fields import Faults
from harness.plan.files import module_name
from harness.plan.modules import BUILTIN
from harness.plan.structure import of_play

_INSTEAD = (
    "strategies that work: ssh-fallback (the whole host by Ansible where the compiler lacks something), force-ssh"
)


def parts_problems(scenario: Scenario, path: Path, payloads: Iterable[Payload], compiler: str) -> list[Problem]:
    """hybrid with tasks of both kinds on one host, where the runners of `compiler` cannot run a plan in parts."""
    found = []
    for payload in payloads:
        hosts = [host for host in payload.run_on if scenario.strategy(host) == Hybrid()]
        if hosts and len({segment.method for segment in segments_of(payload)}) > 1:
            task, lacks = next(iter(unhonoured(payload).items()), ("", "a task reaches beyond itself"))
            words = (
                f"hybrid would do a part of the plan over SSH on {', '.join(hosts)} ({task}: {lacks}), but runners of"
                f" the compiler {compiler} cannot run a plan in parts"
            )
            found.append(Problem(path.name, words, _INSTEAD))
    return found


def module_problems(scenario: Scenario, path: Path, plan: Plan, honours: Honours) -> list[Problem]:
    """Modules that are Ansible's to find, and that this machine's Ansible has not got. Nothing is said where there
    is no Ansible to ask: that has words of its own."""
    faults = Faults(path.name)
    used = []
    for index, play in enumerate(plan.plays):
        everybody = {host for batch in play.batches for task in batch.tasks for host in task.hosts}
        for keys, task in of_play(plan, play, index):
            hosts = task.hosts if isinstance(task, Task) else everybody
            if _is_for_ansible(scenario, task, hosts, honours):
                used.append((keys, task.module))
    unknown = _unknown({module for _, module in used})
    for keys, module in used:
        if module in unknown:
            collection = ".".join(module.split(".")[:2]) if module.count(".") >= 2 else "NAMESPACE.NAME"
            words = f"the module {shown(module)} is known neither to the compiler nor to the Ansible of this machine"
            faults.add(
                (*keys, "module"), words, f"ansible-galaxy collection install {collection}, where a collection has it"
            )
    return faults.problems


def _is_for_ansible(scenario: Scenario, task: Task | Handler, hosts: Collection[str], honours: Honours) -> bool:
    name = module_name(task.module)
    if not task.module or name in BUILTIN:
        return False
    strategies = [scenario.strategy(host) for host in hosts if host in scenario.by_ansible()]
    return ForceSSH() in strategies or (bool(strategies) and name not in honours.modules)


def _unknown(modules: Collection[str]) -> set[str]:
    if not modules or find_spec("ansible_runner") is None:
        return set()
    from harness.ansible.known import unknown_modules

    try:
        return unknown_modules(modules)
    except HarnessError:
        return set()
