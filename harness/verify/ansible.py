"""testinfra's Ansible side: what its AnsibleRunner and `host.ansible` do, over the connections of this process.

Unmodified tests of Molecule scenarios ask testinfra for `ansible://` hosts, for the hosts of MOLECULE_INVENTORY_FILE,
for a module's result and for the inventory's variables. Hosts and groups are known from the job; the variables are
Ansible's own answer, asked for once; a module runs through the broker, on the connection that is open anyway.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import Unsupported, UsageError
from harness.models.verification import VerifyJob
from harness.verify.hosts import Address, Hosts

SCHEMES = ("ansible", "docker", "podman")
"""Schemes of testinfra that lead to a platform of ours where they name one."""
_BOOLEAN = ("become", "check", "diff", "one_line")
_TEXT = ("become_method", "become_user", "user")
_SECONDS = 120.0

Inventory = dict[str, Any]


class AnsibleSide:
    """One for the whole session."""

    def __init__(self, job: VerifyJob, hosts: Hosts) -> None:
        self._job = job
        self._hosts = hosts
        self._inventories: dict[str | None, Inventory] = {}
        self._modules: Any = None

    def names(self, pattern: str) -> list[str]:
        """Platforms that a pattern means: names and groups, with `*` and `?`, as testinfra's AnsibleRunner has it."""
        found = set()
        for host in self._job.hosts:
            groups = [*host.groups, "all"] if set(host.groups) - {"all"} else [*host.groups, "all", "ungrouped"]
            if any(fnmatch.fnmatch(name, pattern) for name in (host.platform, *groups)):
                found.add(host.platform)
        return sorted(found)

    def owns(self, inventory: str | None) -> bool:
        """Whether this inventory is the job's own, so that its hosts are the job's platforms."""
        if inventory is None:
            return True
        ansible = self._job.ansible
        own = [] if ansible is None else [ansible.inventory, ansible.inventory / "ansible_inventory.yml"]
        return any(os.path.realpath(inventory) == os.path.realpath(path) for path in own)

    def inventory(self, path: str | None) -> Inventory:
        """`ansible-inventory --list`, asked for once. Raises AnsibleFailed with its words."""
        if path is None and self._job.ansible is not None:
            path = str(self._job.ansible.inventory)
        if path not in self._inventories:
            self._inventories[path] = _ask(path) if path is not None else self._plain()
        return self._inventories[path]

    def _plain(self) -> Inventory:
        """Of a scenario without Ansible: what the harness itself knows of its platforms."""
        groups: dict[str, list[str]] = {}
        for host in self._job.hosts:
            for group in host.groups:
                groups.setdefault(group, []).append(host.platform)
        hostvars = {host.platform: dict(host.variables) for host in self._job.hosts}
        return {"_meta": {"hostvars": hostvars}, **{group: {"hosts": names} for group, names in groups.items()}}

    def variables(self, platform: str) -> dict[str, Any]:
        """As testinfra gives them: the inventory's, `inventory_hostname`, `group_names` and `groups`."""
        inventory = self.inventory(None)
        found = dict(inventory.get("_meta", {}).get("hostvars", {}).get(platform, {}))
        groups = {name: sorted(_members(inventory, name)) for name in sorted(inventory) if name != "_meta"}
        names = [name for name, members in groups.items() if platform in members]
        return {"inventory_hostname": platform, "group_names": names, "groups": groups, **found}

    def module(self, platform: str, name: str, arguments: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """A module's result. Raises TransportFailed, and AnsibleFailed where it never ran."""
        if self._modules is None:
            self._modules = self._start()
        found: dict[str, Any] = self._modules.run(platform, name, arguments, command_options(options))
        return found

    def _start(self) -> Any:
        if sys.platform == "win32":
            raise Unsupported("host.ansible", by="a controller on Windows")
        else:  # noqa: RET506 (mypy looks at no branch of another system)
            from harness.ansible.modules import Modules

            ansible = self._job.ansible
            return Modules(
                [host.platform for host in self._job.hosts],
                lambda name: self._hosts.connection(Address(name, self._job.scenario)),
                inventory=None if ansible is None else ansible.inventory,
                env={name: value for name, value in os.environ.items() if name.startswith("ANSIBLE_")},
                cwd=Path.cwd(),
            )

    def close(self) -> None:
        modules, self._modules = self._modules, None
        if modules is not None:
            modules.close()


def command_options(options: Mapping[str, Any]) -> list[str]:
    """Keyword arguments of `host.ansible(...)` as options of the command `ansible`; `check` unless it is said."""
    found: list[str] = []
    for name, value in {"check": True, **options}.items():
        if name == "verbose":
            found += [f"-{'v' * int(value)}"] if value else []
        elif name in _BOOLEAN:
            found += [f"--{name.replace('_', '-')}"] if value else []
        elif name in _TEXT:
            found += [f"--{name.replace('_', '-')}", str(value)]
        elif name == "extra_vars":
            found += ["--extra-vars", json.dumps(value)]
        else:
            known = ", ".join((*_BOOLEAN, *_TEXT, "extra_vars", "verbose"))
            raise UsageError(f"host.ansible knows no option {name!r}", hint=f"known here: {known}")
    return found


def install(side: AnsibleSide) -> None:
    """Let testinfra's own AnsibleRunner answer from `side` in this process: tests make such runners themselves."""
    import testinfra
    from testinfra.utils import ansible_runner

    runner = ansible_runner.AnsibleRunner
    get_hosts, get_host, run_module = runner.get_hosts, runner.get_host, runner.run_module

    def hosts(self: Any, pattern: str = "all") -> Any:
        return side.names(pattern) if side.owns(self.inventory_file) else get_hosts(self, pattern)

    def host(self: Any, name: str, **kwargs: Any) -> Any:
        if side.owns(self.inventory_file) and name in side.names("all"):
            return testinfra.get_host(f"harness://{name}")
        return get_host(self, name, **kwargs)

    def module(self: Any, host: str, name: str, arguments: str | None, get_encoding: Any = None, **options: Any) -> Any:
        if side.owns(self.inventory_file) and host in side.names("all"):
            return side.module(host, name, arguments, options)
        return run_module(self, host, name, arguments, get_encoding=get_encoding, **options)

    runner.get_hosts, runner.get_host, runner.run_module = hosts, host, module
    ansible_runner.get_ansible_inventory = lambda config, inventory_file: side.inventory(inventory_file)


def _members(inventory: Inventory, group: str) -> set[str]:
    section = inventory.get(group, {})
    found = set(section.get("hosts", []))
    for child in section.get("children", []):
        found |= _members(inventory, child)
    return found


def _ask(path: str) -> Inventory:
    from harness.ansible.find import find_command
    from harness.ansible.job import AnsibleFailed

    command = [str(find_command("ansible-inventory")), "--list", "-i", path]
    # Verbose, it would print more than the document.
    env = {**os.environ, "ANSIBLE_VERBOSITY": "0"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=_SECONDS)
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise AnsibleFailed(f"ansible-inventory did not answer: {error}") from error
    if not isinstance(found, dict):
        raise AnsibleFailed(f"ansible-inventory ended with status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return found
