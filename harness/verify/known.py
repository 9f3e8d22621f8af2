"""Values of a plan that can be known without running it: literals, and plain names of known variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

_EXPRESSION = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}")
_MARKS = ("{{", "{%", "{#")


class Known:
    """Variables whose values are certain. Whatever a task may set at run time is not among them."""

    def __init__(self, *layers: Mapping[str, JsonValue], unknown: Sequence[str] = ()) -> None:
        self._values: dict[str, JsonValue] = {}
        for layer in layers:
            self._values.update(layer)
        for name in unknown:
            self._values.pop(name, None)

    def with_layer(self, layer: Mapping[str, JsonValue]) -> Known:
        return Known(self._values, layer) if layer else self

    def text(self, value: JsonValue, depth: int = 5) -> str | None:
        """The text that a template yields; None when it cannot be known (filters, tests, unknown names)."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        text = str(value)
        if not is_template(text):
            return text
        if depth == 0:
            return None
        parts: list[str] = []
        position = 0
        for match in _EXPRESSION.finditer(text):
            found = self._lookup(match[1])
            inner = self.text(found, depth - 1) if found is not None else None
            if inner is None:
                return None
            parts += [text[position : match.start()], inner]
            position = match.end()
        parts.append(text[position:])
        # What is left must hold no other template; a value that looks like one was already resolved or refused.
        if any(is_template(part) for part in parts[::2]):
            return None
        return "".join(parts)

    def _lookup(self, name: str) -> JsonValue:
        first, *rest = name.split(".")
        value = self._values.get(first)
        for key in rest:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def is_template(text: str) -> bool:
    return any(mark in text for mark in _MARKS)


def static_prefix(text: str) -> str:
    """The folder that is certain at the start of a templated path: `/opt/{{ x }}/y` is somewhere below `/opt`."""
    first = min((text.find(mark) for mark in _MARKS if mark in text), default=len(text))
    return text[:first].rsplit("/", 1)[0] or "/"


def truth(value: JsonValue, default: bool | None) -> bool | None:
    """A boolean as Ansible reads it; None when it cannot be known."""
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int) and str(value).lower() in ("yes", "true", "on", "1", "y", "t"):
        return True
    if isinstance(value, str | int) and str(value).lower() in ("no", "false", "off", "0", "n", "f"):
        return False
    return None
