"""Reading one object of a file field by field: what is wrong is noted by its path, and reading goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel, JsonValue

from harness.errors import Problem
from harness.models.problems import Keys, nearest, path_text, shown

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_TRUE = frozenset({"yes", "on", "1", "true", "t", "y"})
_FALSE = frozenset({"no", "off", "0", "false", "f", "n"})
"""Ansible's booleans (ansible.module_utils.parsing.convert_bool)."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEVER_A_NAME = frozenset({"true", "false", "none", "and", "or", "not", "in", "is", "if", "else"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Wrong(Exception):
    """A value is not what its field wants. `keys` lead from the field to the very place."""

    def __init__(self, words: str, *, keys: Keys = (), hint: str | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.keys = keys
        self.hint = hint


class Suggestions:
    """The names that were probably meant, for as many problems as a person reads: difflib compares with every name."""

    def __init__(self) -> None:
        self._left = 100

    def nearest(self, word: str, known: Collection[str]) -> str | None:
        if self._left <= 0 or len(known) > 10_000:
            return None
        self._left -= 1
        return nearest(word, known)


class Faults:
    """The problems of one file, each once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.suggestions = Suggestions()
        self._found: dict[Problem, None] = {}

    def add(self, keys: Keys, words: str, hint: str | None = None) -> None:
        self._found[Problem(place(self.file, keys), words, hint)] = None

    @property
    def problems(self) -> list[Problem]:
        return list(self._found)


class Fields:
    """One object of the file."""

    def __init__(self, raw: Mapping[str, Any], keys: Keys, faults: Faults) -> None:
        self.raw = raw
        self.keys = keys
        self.faults = faults

    def get(self, key: str, read: Callable[[Any], T], default: T) -> T:
        """The field, or `default` where it is missing, null or wrong."""
        value = self.raw.get(key)
        if value is None:
            return default
        try:
            return read(value)
        except Wrong as wrong:
            self.faults.add((*self.keys, key, *wrong.keys), wrong.words, wrong.hint)
            return default

    def listed(self, key: str, read: Callable[[Any], list[T]]) -> list[T]:
        """As `get`, with an empty list as the default."""
        nothing: list[T] = []
        return self.get(key, read, nothing)

    def mapped(self, key: str, read: Callable[[Any], dict[str, Any]] | None = None) -> dict[str, Any]:
        """As `get`, with an empty object as the default."""
        nothing: dict[str, Any] = {}
        return self.get(key, read or mapping, nothing)

    def need(self, key: str, read: Callable[[Any], T], default: T, *, hint: str | None = None) -> T:
        """As `get`, but a field that is missing or null is a problem."""
        if self.raw.get(key) is None:
            words = "missing; it is required" if key not in self.raw else "should not be null"
            self.faults.add((*self.keys, key), words, hint)
            return default
        return self.get(key, read, default)

    def model(self, kind: type[M], values: Mapping[str, Any], *, used: Collection[str] = ()) -> M:
        """`kind` made of values that have been read, with the fields that it has no place for beside its own, but for
        those that were `used` under other names."""
        made = build(kind, values)
        own = kind.model_fields
        if made.__pydantic_extra__ is not None:
            found = {key: value for key, value in self.raw.items() if key not in own and key not in used}
            made.__pydantic_extra__.update(found)
        return made


@lru_cache
def _defaults(kind: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]], set[str]]:
    optional = {name: field for name, field in kind.model_fields.items() if not field.is_required()}
    plain = {name: field.default for name, field in optional.items() if field.default_factory is None}
    made = {name: field.default_factory for name, field in optional.items() if field.default_factory is not None}
    return plain, cast("dict[str, Callable[[], Any]]", made), set(kind.model_fields)


def build(kind: type[M], values: Mapping[str, Any]) -> M:
    """A model of values that need no validation. pydantic's own defaults cost 0.3 ms for a task."""
    plain, made, names = _defaults(kind)
    given = {**plain, **{name: make() for name, make in made.items() if name not in values}, **values}
    return kind.model_construct(_fields_set=names, **given)


def place(file: str, keys: Keys) -> str:
    """`plan.json: plays[0].batches[1].tasks[3].args.mode`."""
    text = path_text(keys)
    return f"{file}: {text}" if text else file


@lru_cache(maxsize=1000)
def near(word: str, known: frozenset[str]) -> str | None:
    """The known name that `word` is a slip of the pen for; None where it is a word of its own."""
    word = word.lower()
    found = get_close_matches(word, known, n=1, cutoff=0.8)
    if found:
        return found[0]
    swapped = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1))
    return next((name for name in swapped if len(name) > 2 and name in known), None)


def not_a(kind: str, value: object) -> Wrong:
    words = {"a mapping": "an object"}.get(shown(value), shown(value))
    return Wrong(f"should be {kind}, not {words}")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise not_a("text", value)
    return value


def identifier(value: Any) -> str:
    """The name of a task, batch, play or host: text that can be printed and is not empty."""
    if not isinstance(value, str):
        raise not_a("text", value)
    if not value.strip():
        raise Wrong("is empty")
    if _CONTROL.search(value):
        raise Wrong(f"holds a control character: {shown(value)}")
    if len(value) > 500:
        raise Wrong("is longer than 500 characters")
    return value


def is_variable_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name.lower() not in _NEVER_A_NAME


def variable_name(value: Any) -> str:
    name = text(value)
    if not is_variable_name(name):
        raise Wrong(f"should be the name of a variable (letters, digits, underscores), not {shown(name)}")
    return name


def truth(value: Any) -> bool:
    """A boolean the ways Ansible accepts one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        if "{{" in value:
            raise Wrong("a template is not honoured here: it must be known before the run", hint="write true or false")
        if value.strip().lower() in _TRUE:
            return True
        if value.strip().lower() in _FALSE:
            return False
    raise not_a("true or false", value)


def truth_or_template(value: Any) -> bool | str:
    if isinstance(value, str) and "{{" in value:
        return value
    return truth(value)


def number(value: Any) -> float:
    """Zero or more, also as text, as Ansible accepts it."""
    if isinstance(value, str):
        if "{{" in value:
            raise Wrong("a template is not honoured here: it must be known before the run", hint="write the number")
        try:
            value = float(value)
        except ValueError:
            raise not_a("a number", value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise not_a("a number", value)
    if not math.isfinite(value) or value < 0 or value > 1e12:
        raise Wrong(f"should be zero or more, not {shown(value)}" if value < 0 else "is too large")
    return float(value)


def whole(value: Any) -> int:
    found = number(value)
    if found != int(found):
        raise not_a("a whole number", value)
    return int(found)


def batches(value: Any) -> int | str | list[int | str] | None:
    """Ansible's `serial`: a number of hosts, a share of them, or a list of such."""
    if isinstance(value, list):
        return [_batch(item) for item in value]
    return None if value is None else _batch(value)


def _batch(value: Any) -> int | str:
    return value if isinstance(value, str) and value.strip() else whole(value)


def seconds(value: Any) -> float:
    """A number, or serde's `{"secs": N, "nanos": N}`."""
    if not isinstance(value, dict):
        return number(value)
    for key in ("secs", "nanos"):
        part = value.get(key)
        if isinstance(part, bool) or not isinstance(part, int) or part < 0:
            raise Wrong("should be a whole number, zero or more", keys=(key,))
    return number(value["secs"] + value["nanos"] / 1e9)


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise not_a("an object", value)
    return value


def items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise not_a("a list", value)
    return value


def texts(value: Any) -> list[str]:
    """A list of text; one text is a list of one, as in Ansible."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise not_a("a list of text", value)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            wrong = not_a("text", item)
            raise Wrong(wrong.words, keys=(index,))
    return value


def identifiers(value: Any) -> list[str]:
    found = texts(value)
    for index, item in enumerate(found):
        try:
            identifier(item)
        except Wrong as wrong:
            raise Wrong(wrong.words, keys=(index,)) from None
    return found


def tags(value: Any) -> list[str]:
    """Ansible's tags: a list, or text with commas."""
    found = [part.strip() for item in texts(value) for part in item.split(",")]
    return list(dict.fromkeys(part for part in found if part))


def conditions(value: Any) -> list[str | bool]:
    """What `when`, `until`, `changed_when` and `failed_when` hold: all must be true."""
    if not isinstance(value, list):
        return [_condition(value)]
    found: list[str | bool] = []
    for index, item in enumerate(value):
        try:
            found.append(_condition(item))
        except Wrong as wrong:
            raise Wrong(wrong.words, keys=(index,)) from None
    return found


def _condition(value: Any) -> str | bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise not_a("an expression or true or false", value)
    if not value.strip():
        raise Wrong("is an empty expression")
    bare = re.fullmatch(r"\s*\{\{(.*)\}\}\s*", value, re.DOTALL)
    if bare is not None and "{{" not in bare[1] and "}}" not in bare[1]:
        return bare[1].strip()  # Ansible warns of the braces and means the same
    return value


def environment(value: Any) -> dict[str, JsonValue]:
    """Names to scalars; a list of such objects is merged, the later wins, as in Ansible."""
    if isinstance(value, list):
        merged: dict[str, JsonValue] = {}
        for index, item in enumerate(value):
            try:
                merged.update(environment(item))
            except Wrong as wrong:
                raise Wrong(wrong.words, keys=(index, *wrong.keys)) from None
        return merged
    for key, item in mapping(value).items():
        if isinstance(item, dict | list):
            raise Wrong("should be text or a number", keys=(key,))
        if not key or "=" in key or "\0" in key:
            raise Wrong(f"{shown(key)} is no name of an environment variable")
    return mapping(value)


def loop(value: Any) -> JsonValue:
    if not isinstance(value, list | str):
        raise not_a("a list or an expression that gives one", value)
    if isinstance(value, str) and not value.strip():
        raise Wrong("is empty")
    return value
