"""Groups, their members and variables, as a plan tells them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import JsonValue

from harness.models.problems import Keys, shown
from harness.plan import fields
from harness.plan.fields import Faults, Fields

Variables = dict[str, JsonValue]


@dataclass
class Groups:
    members: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, Variables] = field(default_factory=dict)
    """The weakest first: `all`, then parents before children, then by name (Ansible's order)."""


@dataclass
class _Group:
    hosts: list[str]
    children: list[str]
    variables: Variables


def read_groups(value: Any, hosts: Sequence[str], keys: Keys, faults: Faults, *, for_all: Variables) -> Groups:
    """`{NAME: [hosts]}` or `{NAME: {hosts, children, variables}}`; `for_all` lies under every group's variables."""
    groups = {"all": _Group(list(hosts), [], {})}
    for name, given in (value or {}).items():
        place = (*keys, name)
        body = {"hosts": given} if isinstance(given, list) else given
        if not isinstance(body, dict):
            faults.add(place, fields.not_a("a list of hosts or an object", body).words)
            continue
        raw = Fields(body, place, faults)
        variables = raw.mapped("variables") | raw.mapped("vars")
        groups[name] = _Group(raw.listed("hosts", fields.identifiers), raw.listed("children", fields.texts), variables)
        _refuse_unknown(groups[name].hosts, hosts, (*place, "hosts"), faults, what="host")
    for name, group in groups.items():
        _refuse_unknown(group.children, groups, (*keys, name, "children"), faults, what="group")
    groups["all"].variables = for_all | groups["all"].variables
    return _flattened(groups, hosts, keys, faults)


def read_variables(value: Any, hosts: Iterable[str], keys: Keys, faults: Faults, *, what: str) -> dict[str, Variables]:
    """`{HOST OR GROUP: {NAME: VALUE}}`."""
    known = list(hosts)
    found: dict[str, Variables] = {}
    raw = Fields(value or {}, keys, faults)
    for name in raw.raw:
        if name not in known:
            faults.add((*keys, name), _no_such(what, name, known, faults))
        found[name] = raw.mapped(name)
    return found


def merged(host: str, groups: Mapping[str, Sequence[str]], layers: Sequence[Mapping[str, Variables]]) -> Variables:
    """A host's variables from layers of group variables, each in order of precedence: every layer's `all` lies under
    every other group."""
    found: Variables = {}
    for layer in layers:
        found.update(layer.get("all", {}))
    for layer in layers:
        for group, variables in layer.items():
            if group != "all" and host in groups.get(group, ()):
                found.update(variables)
    return found


def _flattened(groups: dict[str, _Group], hosts: Sequence[str], keys: Keys, faults: Faults) -> Groups:
    sorter = TopologicalSorter({name: [c for c in g.children if c in groups] for name, g in groups.items()})
    try:
        leaves_first = list(sorter.static_order())
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        faults.add(keys, f"these groups are each other's children: {cycle}")
        return Groups({name: group.hosts for name, group in groups.items()})
    members: dict[str, dict[str, None]] = {}
    depth = dict.fromkeys(groups, 1)
    for name in leaves_first:
        members[name] = dict.fromkeys(groups[name].hosts)
        for child in groups[name].children:
            members[name].update(members.get(child, {}))
    for name in reversed(leaves_first):
        for child in groups[name].children:
            if child in depth and name != "all":
                depth[child] = max(depth[child], depth[name] + 1)
    members["all"] = dict.fromkeys(hosts)
    depth["all"] = 0
    order = {host: index for index, host in enumerate(hosts)}
    ranked = sorted(groups, key=lambda name: (depth[name], name))
    return Groups(
        {name: sorted(members[name], key=lambda host: order.get(host, len(order))) for name in groups},
        {name: groups[name].variables for name in ranked},
    )


def _refuse_unknown(names: Sequence[str], known: Iterable[str], keys: Keys, faults: Faults, *, what: str) -> None:
    among = set(known)
    for index, name in enumerate(names):
        if name not in among:
            faults.add((*keys, index), _no_such(what, name, among, faults))


def _no_such(what: str, name: str, known: Collection[str], faults: Faults) -> str:
    meant = faults.suggestions.nearest(name, known)
    return f"the plan has no {what} {shown(name)}" + (f"; did you mean {shown(meant)}?" if meant else "")
