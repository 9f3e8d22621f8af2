"""Ansible's host patterns: `web:&prod:!web3`, `db*`, `~web\\d+`, `web[0:2]`.

Source: https://docs.ansible.com/ansible/latest/inventory_guide/intro_patterns.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from harness.models.problems import shown
from harness.plan.fields import Suggestions, Wrong

_SUBSCRIPT = re.compile(r"(?P<name>.+)\[(?P<first>-?\d{1,9})?((?P<range>[:-])(?P<last>\d{1,9})?)?\]")
_SPECIAL = re.compile(r"[*?\[]")


class Hosts:
    """The hosts and groups that patterns choose from, in the order of the plan."""

    def __init__(self, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
        self.order = {host: index for index, host in enumerate(hosts)}
        # A group may name a host that the plan has not: that is a problem of the group, said elsewhere.
        known = {name: [host for host in members if host in self.order] for name, members in groups.items()}
        self.groups = {**known, "all": list(hosts)}
        self._suggestions = Suggestions()
        self._known: dict[tuple[str, ...], list[str]] = {}

    def listed(self, names: Sequence[str]) -> list[str]:
        """The hosts that a list of hosts, groups and patterns names, each once. Equal lists give the same object:
        a large plan repeats its hosts in every task."""
        key = tuple(names)
        found = self._known.get(key)
        if found is None:
            chosen: dict[str, None] = {}
            for index, name in enumerate(names):
                try:
                    chosen.update(dict.fromkeys([name] if name in self.order else self.matching(name)))
                except Wrong as wrong:
                    raise Wrong(wrong.words, keys=(index,)) from None
            found = self._known[key] = list(chosen)
        return found

    def matching(self, pattern: str) -> list[str]:
        """The hosts that match, in the plan's order. Raises Wrong for a name that is neither host nor group."""
        terms = [term for term in _split(pattern) if term]
        if not terms:
            raise Wrong("is an empty host pattern")
        chosen: set[str] = set()
        if all(term[0] in "&!" for term in terms):
            chosen = set(self.order)
        for term in terms:
            if term[0] not in "&!":
                chosen |= self._term(term)
        for term in terms:
            if term[0] == "&":
                chosen &= self._term(term[1:])
        for term in terms:
            if term[0] == "!":
                chosen -= self._term(term[1:])
        return sorted(chosen, key=self.order.__getitem__)

    def contains(self, pattern: str) -> list[str]:
        """As `matching`; a plain word that names nothing matches the hosts whose name holds it, which is how
        rustle-plan evaluates its Host condition (iepathos/rustle-plan, planner/condition.rs)."""
        try:
            return self.matching(pattern)
        except Wrong:
            found = [host for host in self.order if pattern in host]
            if not found:
                raise
            return found

    def _term(self, term: str) -> set[str]:
        if term == "*":
            return set(self.order)
        if term in self.order:
            return {term}
        if term in self.groups:
            return set(self.groups[term])
        if term.startswith("~"):
            return self._by_regex(term[1:])
        part = _SUBSCRIPT.fullmatch(term)
        if part is not None and part["name"] in self.groups:
            return set(_slice(list(self.groups[part["name"]]), part))
        if _SPECIAL.search(term):
            found = {host for host in self.order if fnmatchcase(host, term)}
            for group, members in self.groups.items():
                if fnmatchcase(group, term):
                    found.update(members)
            if found:
                return found
            raise Wrong(f"no host matches {shown(term)}")
        known = [*self.order, *self.groups]
        meant = self._suggestions.nearest(term, known)
        hint = f"; did you mean {shown(meant)}?" if meant else f"; known are {', '.join(known[:10])}"
        raise Wrong(f"the plan has no host {shown(term)}{hint}")

    def _by_regex(self, expression: str) -> set[str]:
        try:
            pattern = re.compile(expression)
        except (re.error, OverflowError, RecursionError) as error:
            raise Wrong(f"{shown(expression)} is no regular expression: {error}") from None
        return {host for host in self.order if pattern.match(host)}


def _split(pattern: str) -> list[str]:
    """At commas where there are any, else at colons that stand outside of brackets."""
    if "," in pattern:
        return [term.strip() for term in pattern.split(",")]
    return [term.strip() for term in re.split(r":(?![^\[]*\])", pattern)]


def _slice(members: list[str], part: re.Match[str]) -> list[str]:
    first = int(part["first"] or 0)
    if part["range"] is None:
        return members[first : first + 1] if first != -1 else members[-1:]
    return members[first : int(part["last"]) + 1 if part["last"] else None]
