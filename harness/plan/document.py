"""A JSON document from a file: whatever the file holds, it ends in a value or in InvalidInput."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import InvalidInput, Problem
from harness.models.problems import path_text, shown

MAX_BYTES = 512 * 1024 * 1024
MAX_DEPTH = 100
"""Levels of lists and objects. serde_json, which reads the payload on the host, gives up at 128."""

_BOMS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"\xef\xbb\xbf", "UTF-8 with a byte order mark"))

_WORDS = {
    "Expecting value": "a value was expected here",
    "Expecting property name enclosed in double quotes": "a key in double quotes was expected here",
    "Illegal trailing comma before end of object": "the last comma has nothing after it",
    "Illegal trailing comma before end of array": "the last comma has nothing after it",
    "Expecting ',' delimiter": "a comma or a closing bracket was expected here",
    "Expecting ':' delimiter": "a colon was expected here",
    "Extra data": "the JSON document ended before this; nothing may follow it",
    "Unterminated string starting at": "this string has no end",
    "Invalid control character at": "a control character stands in a string; escape it (\\n, \\t, \\u0000)",
    "Invalid \\escape": "this backslash begins no JSON escape; a backslash itself is written \\\\",
    "Invalid \\uXXXX escape": "\\u wants four hexadecimal digits",
}


@dataclass(frozen=True)
class Document:
    path: Path
    sha256: str
    """Of the file's bytes, in hexadecimal."""
    value: Any


class _Huge(int):
    """Stands where a whole number is that does not fit in 64 bits."""


class _NotFinite(float):
    """Stands where NaN, Infinity or a number too large for a float is."""


def refuse(path: Path, problems: Sequence[Problem], *, hint: str | None = None) -> NoReturn:
    raise InvalidInput(str(path), problems, hint=hint)


def read_document(path: Path) -> Document:
    """Read a file of JSON. Raises InvalidInput for anything that is not one JSON document in UTF-8 whose keys are
    unique and whose numbers are finite and fit in 64 bits, with every place that is wrong."""
    data = _read_bytes(path)
    text = _decode(path, data)
    digest = hashlib.sha256(data).hexdigest()
    del data
    repeated: list[tuple[dict[str, Any], str]] = []
    odd: list[object] = []
    value = _parse(path, text, repeated, odd)
    _refuse_depth(path, value)
    if repeated or odd or _may_hold_surrogates(text):
        problems = _odd_places(path, value, repeated)
        if problems:
            refuse(path, problems)
    return Document(path, digest, value)


def _read_bytes(path: Path) -> bytes:
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            refuse(path, [Problem(path.name, "is a folder, not a file")])
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            refuse(path, [Problem(path.name, "is a device or a socket, not a file")])
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a NUL byte in the path
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        refuse(path, [Problem(path.name, f"cannot be read: {words}")])
    if len(data) > MAX_BYTES:
        refuse(path, [Problem(path.name, f"is larger than {MAX_BYTES // 1024 // 1024} MB")])
    return data


def _decode(path: Path, data: bytes) -> str:
    for mark, name in _BOMS:
        if data.startswith(mark):
            refuse(path, [Problem(path.name, f"is {name}; JSON is plain UTF-8", "save it as UTF-8 without BOM")])
    if b"\0" in data[:2]:
        words = "begins with a NUL byte, as UTF-16 and binary files do; JSON is plain UTF-8"
        refuse(path, [Problem(path.name, words, "save it as UTF-8 without BOM")])
    if not data.strip():
        refuse(path, [Problem(path.name, "is empty")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        words = f"is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        refuse(path, [Problem(f"{path.name}:{line}", words)])


def _parse(path: Path, text: str, repeated: list[tuple[dict[str, Any], str]], odd: list[object]) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            repeated.extend((found, key) for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return found

    def whole(digits: str) -> int:
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
            odd.append(digits)
            return _Huge()
        return int(digits)

    def real(digits: str) -> float:
        number = float(digits)
        if number - number != 0.0:  # not finite
            odd.append(digits)
            return _NotFinite()
        return number

    try:
        return json.loads(text, object_pairs_hook=unique, parse_int=whole, parse_float=real, parse_constant=real)
    except json.JSONDecodeError as error:
        _refuse_syntax(path, text, error)
    except RecursionError:
        line, column = _deepest(text)
        refuse(path, [Problem(f"{path.name}:{line}:{column}", f"is nested deeper than {MAX_DEPTH} levels")])


def _refuse_syntax(path: Path, text: str, error: json.JSONDecodeError) -> NoReturn:
    where = f"{path.name}:{error.lineno}:{error.colno}"
    if error.pos >= len(text.rstrip()):
        refuse(path, [Problem(where, "the file ends in the middle of the JSON document; was it cut off?")])
    words = _WORDS.get(error.msg, error.msg)
    start = text.rfind("\n", 0, error.pos) + 1
    end = text.find("\n", error.pos)
    line = text[max(start, error.pos - 30) : min(len(text) if end < 0 else end, error.pos + 30)].strip()
    refuse(path, [Problem(where, f"{words} (near {shown(line, 70)})")])


def _deepest(text: str) -> tuple[int, int]:
    """Line and column of the first bracket that lies too deep."""
    depth = 0
    for found in re.finditer(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', text):
        if found[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                start = text.rfind("\n", 0, found.start()) + 1
                return text.count("\n", 0, start) + 1, found.start() - start + 1
        elif found[0] in "]}":
            depth -= 1
    return 1, 1


def _refuse_depth(path: Path, value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent if type(parent) is list else ())
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    place = next(keys for keys, child in _walk(value) if len(keys) > MAX_DEPTH and isinstance(child, dict | list))
    words = f"is nested deeper than {MAX_DEPTH} levels"
    refuse(path, [Problem(f"{path.name}: {shown(path_text(place), 80)}", words)])


def _walk(value: object) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Every value with the way to it, parents first. Not recursive: a document may be deep."""
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while waiting:
        keys, here = waiting.pop()
        yield keys, here
        if isinstance(here, dict):
            waiting.extend(((*keys, key), child) for key, child in reversed(here.items()))
        elif isinstance(here, list):
            waiting.extend(((*keys, index), here[index]) for index in range(len(here) - 1, -1, -1))


def _may_hold_surrogates(text: str) -> bool:
    return re.search(r"\\u[dD][89a-fA-F]", text) is not None


def _odd_places(path: Path, value: object, repeated: list[tuple[dict[str, Any], str]]) -> list[Problem]:
    again: dict[int, list[str]] = {}
    for owner, key in repeated:
        again.setdefault(id(owner), []).append(key)
    problems: list[Problem] = []
    for keys, here in _walk(value):
        words = []
        if isinstance(here, _Huge):
            words.append("is a whole number beyond 64 bits")
        elif isinstance(here, _NotFinite):
            words.append("is not a finite number (NaN, Infinity, or too large)")
        elif isinstance(here, str) and _is_broken(here):
            words.append("holds half of a surrogate pair, which is no character")
        elif isinstance(here, dict):
            words.extend(f"has the key {shown(key)} more than once" for key in again.get(id(here), ()))
            words.extend(
                f"has the key {shown(key)}, which holds half of a surrogate pair" for key in here if _is_broken(key)
            )
        problems.extend(Problem(f"{path.name}: {path_text(keys) or 'the document'}", word) for word in words)
    return problems


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
