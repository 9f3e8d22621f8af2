"""Conditions of both formats, turned into what the runner evaluates: expressions, tags and hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.models.problems import shown
from harness.plan import fields
from harness.plan.fields import Wrong, not_a
from harness.plan.patterns import Hosts

_VARIABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[(\d+|'[^'\\]*'|\"[^\"\\]*\")\])*", re.ASCII)


@dataclass
class Meaning:
    """What a list of conditions asks for. `hosts`: None where any host will do."""

    when: list[str | bool] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    hosts: list[str] | None = None

    def only(self, hosts: list[str]) -> None:
        self.hosts = hosts if self.hosts is None else [host for host in self.hosts if host in hosts]


def newer(value: Any, hosts: Hosts) -> Meaning:
    """`[{"When": {"expression": ...}}, {"Tag": {"tags": [...]}}, ...]`. Raises Wrong at the first fault."""
    meaning = Meaning()
    for index, condition in enumerate(fields.items(value)):
        try:
            tag, body = _variant(condition)
            read = _NEWER.get(tag)
            if read is None:
                known = ", ".join(_NEWER)
                raise Wrong(f"unknown condition {shown(tag)}; known are {known}")
            read(meaning, _Body(tag, body), hosts)
        except Wrong as wrong:
            raise Wrong(wrong.words, keys=(index, *wrong.keys), hint=wrong.hint) from None
    return meaning


def older(value: Any) -> list[str | bool]:
    """`[{"variable": ..., "operator": ..., "value": ...}]` as expressions. Raises Wrong at the first fault."""
    found: list[str | bool] = []
    for index, condition in enumerate(fields.items(value)):
        try:
            found.append(_comparison(fields.mapping(condition)))
        except Wrong as wrong:
            raise Wrong(wrong.words, keys=(index, *wrong.keys), hint=wrong.hint) from None
    return found


def host_is_one_of(hosts: list[str]) -> str:
    """For a handler, which has no hosts of its own."""
    return f"inventory_hostname in {_literal(hosts)}"


class _Body:
    def __init__(self, tag: str, body: dict[str, Any]) -> None:
        self.tag = tag
        self.body = body

    def need(self, key: str, read: Callable[[Any], Any]) -> Any:
        if key not in self.body:
            raise Wrong("missing; it is required", keys=(self.tag, key))
        try:
            return read(self.body[key])
        except Wrong as wrong:
            raise Wrong(wrong.words, keys=(self.tag, key, *wrong.keys), hint=wrong.hint) from None


def _variant(condition: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(condition, dict) or len(condition) != 1:
        raise Wrong('should be an object with one key, such as {"When": {"expression": "..."}}')
    tag, body = next(iter(condition.items()))
    if not isinstance(body, dict):
        raise Wrong(not_a("an object", body).words, keys=(tag,))
    return tag, body


def _when(meaning: Meaning, body: _Body, hosts: Hosts) -> None:
    meaning.when.extend(body.need("expression", fields.conditions))


def _skip(meaning: Meaning, body: _Body, hosts: Hosts) -> None:
    for condition in body.need("condition", fields.conditions):
        meaning.when.append(not condition if isinstance(condition, bool) else f"not ({condition})")


def _tag(meaning: Meaning, body: _Body, hosts: Hosts) -> None:
    meaning.tags.extend(body.need("tags", fields.tags))


def _only(meaning: Meaning, body: _Body, hosts: Hosts) -> None:
    meaning.only(body.need("hosts", lambda value: hosts.listed(fields.identifiers(value))))


def _host(meaning: Meaning, body: _Body, hosts: Hosts) -> None:
    meaning.only(body.need("pattern", lambda value: hosts.contains(fields.identifier(value))))


def _skip_tag(meaning: Meaning, body: _Body, hosts: Hosts) -> None:
    body.need("tags", fields.tags)  # what it means depends on the tags of the run: see slice.py


def _check_mode(meaning: Meaning, body: _Body, hosts: Hosts) -> None:
    meaning.when.append("ansible_check_mode" if body.need("enabled", fields.truth) else "not ansible_check_mode")


_NEWER: dict[str, Callable[[Meaning, _Body, Hosts], None]] = {
    "When": _when,
    "Tag": _tag,
    "Skip": _skip,
    "Only": _only,
    "Host": _host,
    "SkipTag": _skip_tag,
    "CheckMode": _check_mode,
}


def _comparison(condition: dict[str, Any]) -> str:
    for key in ("variable", "operator"):
        if key not in condition:
            raise Wrong("missing; it is required", keys=(key,))
    variable, operator = condition["variable"], condition["operator"]
    if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
        raise Wrong(f"should be the name of a variable, not {shown(variable)}", keys=("variable",))
    make = _OPERATORS.get(operator) if isinstance(operator, str) else None
    if make is None:
        raise Wrong(f"should be one of {', '.join(_OPERATORS)}, not {shown(operator)}", keys=("operator",))
    if "value" not in condition and operator not in ("Exists", "NotExists"):
        raise Wrong("missing; it is required", keys=("value",))
    try:
        return make(variable, condition.get("value"))
    except Wrong as wrong:
        raise Wrong(wrong.words, keys=("value",)) from None


def _known(variable: str) -> str:
    """A variable that is missing anywhere on the way is null to rustle, an error to Jinja."""
    steps = [found.end() for found in re.finditer(r"[A-Za-z_]\w*(?=[.\[])|\](?=[.\[])", variable)]
    parents = [variable[:end] for end in steps if variable[:end].count("[") == variable[:end].count("]")]
    return " and ".join(f"{name} is defined" for name in [*parents, variable])


def _equals(variable: str, value: Any) -> str:
    if value is None:
        return f"not ({_known(variable)}) or {variable} is none"
    return f"{_known(variable)} and {_same(variable, value)}"


def _same(variable: str, value: Any) -> str:
    """Values of different types are equal when they read the same (iepathos/rustle-deploy, runtime/conditions.rs)."""
    literal = _literal(value)
    if isinstance(value, str) and not re.fullmatch(r"-?[\d.]+|true|false|", value):
        return f"{variable} == {literal}"
    if isinstance(value, bool | dict | list):
        return f"{variable} == {literal}"
    plain = value if isinstance(value, str) else json.dumps(value)
    return f"({variable} == {literal} or {variable} | string == {_literal(plain)})"


def _contains(variable: str, value: Any) -> str:
    if isinstance(value, list):
        return f"{_known(variable)} and {variable} in {_literal(value)}"
    return f"{_known(variable)} and {_literal(value)} in {variable}"


def _starts_with(variable: str, value: Any) -> str:
    part = value if isinstance(value, str) else json.dumps(value)
    return f"{_known(variable)} and ({variable} | string)[:{len(part)}] == {_literal(part)}"


def _ends_with(variable: str, value: Any) -> str:
    part = value if isinstance(value, str) else json.dumps(value)
    if not part:
        return _known(variable)
    return f"{_known(variable)} and ({variable} | string)[-{len(part)}:] == {_literal(part)}"


def _compare(sign: str) -> Callable[[str, Any], str]:
    def expression(variable: str, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise not_a("a number", value)
        return f"{variable} {sign} {_literal(value)}"

    return expression


_OPERATORS: dict[str, Callable[[str, Any], str]] = {
    "Equals": _equals,
    "NotEquals": lambda variable, value: f"not ({_equals(variable, value)})",
    "Contains": _contains,
    "StartsWith": _starts_with,
    "EndsWith": _ends_with,
    "GreaterThan": _compare(">"),
    "LessThan": _compare("<"),
    "Exists": lambda variable, _: f"{_known(variable)} and {variable} is not none",
    "NotExists": lambda variable, _: f"not ({_known(variable)}) or {variable} is none",
}


def _literal(value: Any) -> str:
    """As Jinja writes it: JSON, but for `none`."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
