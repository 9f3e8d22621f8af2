"""`provisioner.inventory`: variables of hosts and groups, under the names that Molecule gives them.

`hosts` is an Ansible inventory in YAML: groups with `hosts`, `vars` and `children`
(docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html). What it says of a host or group is weaker than
`host_vars` and `group_vars`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from harness.drivers.base import PlatformSpec
from harness.errors import Problem
from harness.models.problems import Keys, shown, unknown
from harness.models.scenario import Inventory
from harness.scenario.file import InventorySection, Variables

_GROUP_KEYS = ("hosts", "vars", "children")
_AT: Keys = ("provisioner", "inventory")


class InventoryReader:
    """Collects what the section says; `problems` and `members` (group to hosts) are complete after `read`."""

    def __init__(self, platforms: Collection[str], where: Callable[[Keys], str]) -> None:
        self.platforms = platforms
        self.where = where
        self.problems: list[Problem] = []
        self.members: dict[str, list[str]] = {}
        self._hosts: dict[str, Variables] = {}
        self._groups: dict[str, Variables] = {}

    def read(self, section: InventorySection) -> Inventory:
        for name, body in section.hosts.items():
            self._group(name, body, (*_AT, "hosts", name))
        for key in ("host_vars", "hosts_vars"):
            written: dict[str, Variables] = getattr(section, key)
            for name, variables in written.items():
                self._check_host(name, (*_AT, key, name))
                _lay(self._hosts, name, variables)
        for name, variables in section.group_vars.items():
            _lay(self._groups, name, variables)
        return Inventory(hosts_vars=self._hosts, group_vars=self._groups)

    def _group(self, name: str, body: Any, at: Keys) -> list[str]:
        """Returns the hosts of the group, those of its children included."""
        members = self.members.setdefault(name, [])
        found = list(self._mapping(body, at))
        for key in found:
            if key not in _GROUP_KEYS:
                self._problem((*at, key), unknown(key, _GROUP_KEYS))
        _lay(self._groups, name, self._mapping(body, at).get("vars") or {}, self._problem, (*at, "vars"))
        hosts = []
        for host, variables in self._mapping(self._mapping(body, at).get("hosts"), (*at, "hosts")).items():
            self._check_host(host, (*at, "hosts", host))
            _lay(self._hosts, host, variables or {}, self._problem, (*at, "hosts", host))
            hosts.append(host)
        for child, inner in self._mapping(self._mapping(body, at).get("children"), (*at, "children")).items():
            hosts += self._group(child, inner, (*at, "children", child))
        members += [host for host in hosts if host not in members]
        return hosts

    def _mapping(self, value: Any, at: Keys) -> dict[str, Any]:
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self._problem(at, f"should be a mapping, not {shown(value)}")
        return {}

    def _check_host(self, name: str, at: Keys) -> None:
        if name not in self.platforms:
            self._problem(at, unknown(name, self.platforms, what=f"no platform is named {shown(name)}"))

    def _problem(self, at: Keys, words: str) -> None:
        problem = Problem(self.where(at), words)
        if problem not in self.problems:
            self.problems.append(problem)


def _lay(
    into: dict[str, Variables],
    name: str,
    variables: JsonValue,
    problem: Callable[[Keys, str], None] | None = None,
    at: Keys = (),
) -> None:
    if isinstance(variables, dict):
        if variables:
            into[name] = {**into.get(name, {}), **variables}
    elif problem is not None:
        problem(at, f"should be a mapping, not {shown(variables)}")


def with_groups(platforms: list[PlatformSpec], members: dict[str, list[str]]) -> tuple[PlatformSpec, ...]:
    """What `inventory.hosts` says of groups, added to what the platforms say themselves."""
    return tuple(
        replace(
            platform,
            groups=tuple(
                dict.fromkeys(
                    (*platform.groups, *(group for group, hosts in members.items() if platform.name in hosts))
                )
            ),
        )
        for platform in platforms
    )
