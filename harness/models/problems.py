"""What pydantic found wrong with an input, in people's words: one `Problem` for each fault, placed by the caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import Problem

Keys = tuple[str | int, ...]
"""The way from a document's root to a value: `("platforms", 0, "image")`."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*")
_KINDS: dict[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "path_type": "a path",
}


def path_text(keys: Sequence[str | int]) -> str:
    """`platforms[0].image`, as a person (or jq) writes it."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{shown(key)}]"
    return text


def shown(value: object, limit: int = 60) -> str:
    """A value as an error shows it: on one line, cut short, what can't be printed escaped."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value if len(value) <= limit else value[:limit] + "..."
        return repr(text)
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = str(value)
    except ValueError:  # an int of more digits than Python prints (sys.set_int_max_str_digits)
        return "a very long number"
    return text if len(text) <= limit else text[:limit] + "..."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be."""
    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown(word: str, known: Iterable[str], *, what: str = "unknown key") -> str:
    """`unknown key; did you mean image?`, or the names that would do."""
    known = list(known)
    near = nearest(word, known)
    if near is not None:
        return f"{what}; did you mean {near}?"
    return f"{what}; known here: {', '.join(known)}" if known else what


def problems_of(
    error: ValidationError, data: object, *, model: type[BaseModel], where: Callable[[Keys], str]
) -> list[Problem]:
    """All that is wrong, in the order found. `data` is what was validated; `where` names the place of a path."""
    found: dict[Keys, list[str]] = {}
    for fault in error.errors(include_url=False):
        keys = _real_keys(fault, data)
        words = _words(fault, keys, model)
        if words not in found.setdefault(keys, []):
            found[keys].append(words)
    return [Problem(where(keys), _joined(words)) for keys, words in found.items() if not _better_told(keys, found)]


def _better_told(keys: Keys, found: Mapping[Keys, list[str]]) -> bool:
    """Whether another arm of a union took this value for what it is, and says what is wrong within."""
    within = any(len(other) > len(keys) and other[: len(keys)] == keys for other in found)
    return within and all(word.startswith("should be ") for word in found[keys])


def places_of(error: ValidationError, data: object) -> list[Keys]:
    """The values at fault; where one is missing, what lacks it."""
    faults = error.errors(include_url=False)
    return [_real_keys(fault, data)[: -1 if fault["type"] == "missing" else None] for fault in faults]


def known_keys(annotation: Any, keys: Sequence[str | int]) -> list[str]:
    """The keys that the model has at a path; empty where anything goes."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return known_keys(arguments[0], keys)
    if origin in (Union, UnionType):
        return list(dict.fromkeys(name for arm in arguments for name in known_keys(arm, keys)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        if not keys:
            return list(fields)
        return known_keys(fields.get(str(keys[0])), keys[1:])
    if keys and arguments and origin in (list, tuple, dict):
        return known_keys(arguments[1] if origin is dict else arguments[0], keys[1:])
    return []


def _real_keys(fault: ErrorDetails, data: object) -> Keys:
    """pydantic's location without the names of a union's arms and validators, which are no keys of the data."""
    keys: list[str | int] = []
    last = len(fault["loc"]) - 1
    for index, key in enumerate(fault["loc"]):
        tag = _tag(data, key)
        if tag is not None and isinstance(data, Mapping):
            data = data[tag]
            keys.append(tag)
        if _holds(data, key):
            data = data[key]  # type: ignore[index]
        elif not (index == last and fault["type"] == "missing"):
            continue
        keys.append(key)
    return tuple(keys)


def _holds(data: object, key: str | int) -> bool:
    if isinstance(data, Mapping):
        return key in data
    return isinstance(data, list | tuple) and isinstance(key, int) and key < len(data)


def _tag(data: object, key: str | int) -> str | None:
    """The tag of serde's `{"Tag": {...}}` that stands between `data` and `key`: pydantic does not know of it."""
    if isinstance(data, Mapping) and len(data) == 1 and key not in data:
        tag, body = next(iter(data.items()))
        if isinstance(body, Mapping) and key in body:
            return str(tag)
    return None


def _words(fault: ErrorDetails, keys: Keys, model: type[BaseModel]) -> str:
    kind, value, context = fault["type"], fault.get("input"), fault.get("ctx", {})
    if kind == "missing":
        return "missing; it is required"
    if kind == "extra_forbidden":
        return unknown(str(keys[-1]) if keys else "", known_keys(model, keys[:-1]))
    if kind in _KINDS:
        return f"should be {_KINDS[kind]}, not {shown(value)}"
    if kind in ("literal_error", "enum"):
        wanted = str(context.get("expected", "another value"))
        near = nearest(value, re.findall(r"'([^']*)'", wanted)) if isinstance(value, str) else None
        return f"should be {wanted}, not {shown(value)}" + (f"; did you mean {near}?" if near else "")
    if kind == "string_too_short" and context.get("min_length") == 1:
        return "should not be empty"
    if kind in ("value_error", "assertion_error") and "error" in context:
        return str(context["error"])
    return fault["msg"].replace("Input should", "should").replace("Value should", "should")


def _joined(words: list[str]) -> str:
    """One sentence of what the arms of a union say of the same value."""
    if len(words) > 1 and all(word.startswith("should be ") and ", not " in word for word in words):
        wanted = [word.removeprefix("should be ").rsplit(", not ", 1)[0] for word in words]
        return f"should be {' or '.join(wanted)}, not {words[0].rsplit(', not ', 1)[1]}"
    return "; ".join(words)
