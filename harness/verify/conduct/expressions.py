"""Conditions and templates of a plan, evaluated on this side: a value, or nobody can know.

Only what has one meaning in Ansible and in every runner is evaluated; all else raises `Unknown`. Jinja2 parses, so its
grammar is the grammar; nothing of the plan is ever executed.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

from harness.secrets import MASK

_PLAIN = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_DEPTH = 8
"""Variables whose values are templates that name variables."""


_MAGIC = ("ansible_", "hostvars", "inventory_", "playbook_dir", "role_", "omit", "play_hosts", "vars", "environment")
"""How names begin that whoever runs the plan may define."""


class Unknown(Exception):
    """The value hangs on something that is not known here."""


class Variables:
    """What a task sees. A value that is a template is filled in when it is used. `closed`: a name that is not here is
    not defined, rather than not known; `hidden` are defined, and nobody can tell how."""

    def __init__(self, values: Mapping[str, Any], *, closed: bool, hidden: Collection[str] = ()) -> None:
        self._values = values
        self._closed = closed
        self._hidden = hidden

    def has(self, name: str) -> bool:
        """Whether it is defined. Raises Unknown."""
        if name in self._values or name in self._hidden:
            return True
        # Facts come from the machine, magic variables from whoever runs the plan.
        if not self._closed or name.startswith(_MAGIC):
            raise Unknown(name)
        return False

    def value(self, name: str, depth: int = _DEPTH) -> Any:
        if not self.has(name) or name in self._hidden:
            raise Unknown(name)
        return self._filled(self._values[name], depth)

    def with_layer(self, layer: Mapping[str, Any]) -> Variables:
        if not layer:
            return self
        return Variables({**self._values, **layer}, closed=self._closed, hidden=set(self._hidden) - layer.keys())

    def items(self, loop: object) -> list[Any]:
        """What a loop goes through. Raises Unknown."""
        found = self._filled(loop, _DEPTH)
        if not isinstance(found, list):
            raise Unknown(str(loop))
        return found

    def holds(self, condition: object) -> bool:
        """Raises Unknown."""
        if isinstance(condition, bool):
            return condition
        if not isinstance(condition, str):
            raise Unknown(str(condition))
        text = condition.strip()
        if text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1:
            text = text[2:-2]
        found = self.evaluate(text)
        if isinstance(found, str):  # Ansible and others do not agree what the text "false" is
            raise Unknown(condition)
        return bool(found)

    def evaluate(self, expression: str, depth: int = _DEPTH) -> Any:
        """Raises Unknown."""
        return _Evaluation(self, depth).of(_parsed("{% if " + expression + " %}{% endif %}").body[0].test)

    def render(self, template: object, depth: int = _DEPTH) -> str:
        """The text that a template yields. Raises Unknown, also for what others may write in another way."""
        if isinstance(template, bool) or not isinstance(template, str | int):
            raise Unknown(str(template))
        text = str(template)
        if "{{" not in text and "{%" not in text and "{#" not in text:
            return text
        if MASK in text or "{%" in text or "{#" in text or "secret" in text:
            raise Unknown(text)
        pieces = _PLAIN.split(text)
        if not any("{{" in piece for piece in pieces[::2]):  # parsing thousands of templates takes seconds
            pieces[1::2] = [_text(self.value(name, depth)) for name in pieces[1::2]]
            return "".join(pieces)
        from jinja2 import nodes

        parts = []
        for output in _parsed(text).body:
            if not isinstance(output, nodes.Output):
                raise Unknown(text)
            for node in output.nodes:
                if isinstance(node, nodes.TemplateData):
                    parts.append(node.data)
                else:
                    parts.append(_text(_Evaluation(self, depth).of(node)))
        return "".join(parts)

    def _filled(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            if MASK in value:
                raise Unknown("a secret")
            if "{{" not in value and "{%" not in value:
                return value
            if depth == 0:
                raise Unknown(value)
            stripped = value.strip()
            if stripped.startswith("{{") and stripped.endswith("}}") and stripped.count("{{") == 1:
                return self.evaluate(stripped[2:-2], depth - 1)
            return self.render(value, depth - 1)
        if isinstance(value, list):
            return [self._filled(item, depth) for item in value]
        if isinstance(value, Result):
            return value
        if isinstance(value, dict):
            return {key: self._filled(item, depth) for key, item in value.items()}
        return value


class Result(dict[str, Any]):
    """What a task registered: data, never a template. A key that is missing here may be there on the machine."""


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unknown(repr(value))
    if isinstance(value, str) and MASK in value:
        raise Unknown("a secret")
    return str(value)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    from jinja2 import Environment, TemplateError

    environment = Environment(autoescape=False, keep_trailing_newline=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return environment.parse(text)
    except (TemplateError, RecursionError, ValueError, OverflowError) as error:
        raise Unknown(text) from error


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
_TESTS: Mapping[str, Callable[[Result], bool]] = {
    "changed": lambda result: bool(result["changed"]),
    "failed": lambda result: bool(result["failed"]),
    "failure": lambda result: bool(result["failed"]),
    "succeeded": lambda result: not result["failed"],
    "success": lambda result: not result["failed"],
    "skipped": lambda result: bool(result["skipped"]),
    "skip": lambda result: bool(result["skipped"]),
}


class _Evaluation:
    def __init__(self, variables: Variables, depth: int) -> None:
        self._variables = variables
        self._depth = depth

    def of(self, node: Any) -> Any:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise Unknown(type(node).__name__)
        return method(node)

    def _const(self, node: Any) -> Any:
        return node.value

    def _name(self, node: Any) -> Any:
        names = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
        return names[node.name] if node.name in names else self._variables.value(node.name, self._depth)

    def _list(self, node: Any) -> list[Any]:
        return [self.of(item) for item in node.items]

    _tuple = _list

    def _getattr(self, node: Any) -> Any:
        return self._item(self.of(node.node), node.attr)

    def _getitem(self, node: Any) -> Any:
        return self._item(self.of(node.node), self.of(node.arg))

    def _item(self, value: Any, key: Any) -> Any:
        try:
            found = value[key]
        except (KeyError, IndexError, TypeError) as error:
            raise Unknown(str(key)) from error
        if isinstance(found, str) and MASK in found:
            raise Unknown("a secret")
        return found

    def _and(self, node: Any) -> Any:
        return self.of(node.left) and self.of(node.right)

    def _or(self, node: Any) -> Any:
        return self.of(node.left) or self.of(node.right)

    def _not(self, node: Any) -> bool:
        value = self.of(node.node)
        if isinstance(value, str):
            raise Unknown(value)
        return not value

    def _compare(self, node: Any) -> bool:
        left = self.of(node.expr)
        for operand in node.ops:
            right = self.of(operand.expr)
            if not self._compared(operand.op, left, right):
                return False
            left = right
        return True

    def _compared(self, name: str, left: Any, right: Any) -> bool:
        plain = isinstance(left, bool) == isinstance(right, bool)
        if name in ("lt", "lteq", "gt", "gteq", "eq", "ne") and not (plain and _alike(left, right)):
            if name in ("eq", "ne") and (left is None or right is None):
                return _COMPARISONS[name](left, right)
            raise Unknown("values of two kinds")
        try:
            return bool(_COMPARISONS[name](left, right))
        except TypeError as error:
            raise Unknown(str(error)) from error

    def _test(self, node: Any) -> bool:
        if node.name in ("defined", "undefined"):
            return self._is_defined(node.node) is (node.name == "defined")
        value = self.of(node.node)
        if node.name == "none":
            return value is None
        test = _TESTS.get(node.name)
        if test is None or not isinstance(value, Result):
            raise Unknown(node.name)
        return test(value)

    def _is_defined(self, node: Any) -> bool:
        from jinja2 import nodes

        if isinstance(node, nodes.Name):
            return self._variables.has(node.name)
        self.of(node)
        return True  # else it is not known

    def _filter(self, node: Any) -> Any:
        from jinja2 import nodes

        if node.kwargs or node.node is None:
            raise Unknown(node.name)
        if node.name in ("default", "d"):
            if isinstance(node.node, nodes.Name) and len(node.args) == 1 and not self._variables.has(node.node.name):
                return self.of(node.args[0])
            return self.of(node.node) if len(node.args) == 1 else _refuse(node.name)
        value = self.of(node.node)
        if node.args:
            raise Unknown(node.name)
        if node.name in ("length", "count") and isinstance(value, str | list | dict):
            return len(value)
        if node.name in ("lower", "upper") and isinstance(value, str):
            return getattr(value, node.name)()
        if node.name == "trim" and isinstance(value, str):
            return value.strip()
        if node.name == "bool" and isinstance(value, bool):
            return value
        if node.name == "bool" and isinstance(value, str) and value.lower() in _TRUTHS:
            return _TRUTHS[value.lower()]
        if node.name == "int" and isinstance(value, int | str) and str(value).lstrip("-").isdecimal():
            return int(value)
        raise Unknown(node.name)


_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _alike(left: Any, right: Any) -> bool:
    number = (int, float)
    return type(left) is type(right) or (isinstance(left, number) and isinstance(right, number))


def _refuse(name: str) -> Any:
    raise Unknown(name)
