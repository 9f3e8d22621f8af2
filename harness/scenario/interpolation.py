"""`${VAR}` in molecule.yml, replaced in its text before it is parsed, as Molecule does it.

| written | becomes |
|---|---|
| `$VAR`, `${VAR}` | the value; empty where it is not set |
| `${VAR:-word}` / `${VAR-word}` | `word` where VAR is empty or not set / is not set |
| `${VAR:?words}` / `${VAR?words}` | an error with these words where VAR is empty or not set / is not set |
| `$$` | `$` |

`word` may hold further references. A line that is only a comment is left alone. What Docker Compose took from the
shell (docs.docker.com/reference/compose-file/interpolation) is the model of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.scenario.source import LINE_BREAK

_MAX_DEPTH = 16
_MAX_CHARS = 1024 * 1024
"""Of the result: a short file must not become a huge one by a huge variable."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?]")
_COMMENT = re.compile(r"[ \t]*#")


@dataclass
class Interpolated:
    """`lines[n]` is the line of the original (from 1) that line n of `text` (from 0) came from."""

    text: str = ""
    lines: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    """Line and words; where a reference is at fault, nothing stands in its place."""
    unset: dict[str, int] = field(default_factory=dict)
    """Variables that were used, have no default and are not set, and the line of their first use."""


class _Fault(Exception):
    pass


def interpolate(text: str, variables: Mapping[str, str]) -> Interpolated:
    """Never raises: what is wrong is in `faults`, all of it."""
    result = Interpolated()
    pieces: list[str] = []
    size = 0
    for number, (line, end) in enumerate(_lines(text), start=1):
        replaced = line
        if "$" in line and not _COMMENT.match(line):
            replaced = _Scanner(line, number, variables, result).all()
        size += len(replaced) + len(end)
        if size > _MAX_CHARS:
            result.faults.append((number, f"more than {_MAX_CHARS} characters once its variables are filled in"))
            break
        pieces += (replaced, end)
        result.lines += [number] * (1 + len(LINE_BREAK.findall(replaced)))
    result.text = "".join(pieces)
    return result


def _lines(text: str) -> list[tuple[str, str]]:
    """Each line with its line break."""
    lines = []
    start = 0
    for match in LINE_BREAK.finditer(text):
        lines.append((text[start : match.start()], match.group()))
        start = match.end()
    lines.append((text[start:], ""))
    return lines


class _Scanner:
    def __init__(self, line: str, number: int, variables: Mapping[str, str], result: Interpolated) -> None:
        self.line = line
        self.number = number
        self.variables = variables
        self.result = result
        self.at = 0

    def all(self) -> str:
        pieces = []
        while self.at < len(self.line):
            pieces.append(self._literal("$"))
            if self.at < len(self.line):
                pieces.append(self._reference_or_fault())
        return "".join(pieces)

    def _literal(self, stops: str) -> str:
        start = self.at
        while self.at < len(self.line) and self.line[self.at] not in stops:
            self.at += 1
        return self.line[start : self.at]

    def _reference_or_fault(self) -> str:
        try:
            return self._reference(0)
        except _Fault as fault:
            self.result.faults.append((self.number, str(fault)))
            return ""

    def _reference(self, depth: int) -> str:
        """At a `$`; ends behind what belongs to it."""
        self.at += 1
        if self.line.startswith("$", self.at):
            self.at += 1
            return "$"
        if not self.line.startswith("{", self.at):
            name = self._name()
            if not name:
                raise _Fault(f"{self._around()}: a dollar sign that names no variable is written $$")
            return self._value(name)
        self.at += 1
        return self._braced(depth)

    def _braced(self, depth: int) -> str:
        start = self.at
        name = self._name()
        operator = _OPERATOR.match(self.line, self.at)
        if not name or (operator is None and not self.line.startswith("}", self.at)):
            self.at = start
            raise _Fault(f"{self._around(2)}: expected ${{NAME}}, ${{NAME:-default}} or ${{NAME:?message}}")
        if operator is None:
            self.at += 1
            return self._value(name)
        self.at = operator.end()
        set_ = self.variables.get(name, "") != "" if ":" in operator.group() else name in self.variables
        unused = Interpolated()
        word = self._word(depth + 1, self.result if not set_ else unused)
        if set_:
            return self.variables[name]
        if "?" in operator.group():
            self.result.faults.append((self.number, f"{name}: {word or 'is not set'}"))
            return ""
        return word

    def _word(self, depth: int, result: Interpolated) -> str:
        """A default or message up to its closing brace; what a default that is not needed refers to does not matter."""
        if depth > _MAX_DEPTH:
            self.at = len(self.line)
            raise _Fault(f"defaults nested more than {_MAX_DEPTH} deep")
        kept, self.result = self.result, result
        pieces = []
        try:
            while True:
                pieces.append(self._literal("$}"))
                if self.at >= len(self.line):
                    raise _Fault("${ without its closing brace on the same line")
                if self.line[self.at] == "}":
                    self.at += 1
                    return "".join(pieces)
                pieces.append(self._reference(depth))
        finally:
            self.result = kept

    def _name(self) -> str:
        match = _NAME.match(self.line, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def _value(self, name: str) -> str:
        if name not in self.variables:
            self.result.unset.setdefault(name, self.number)
        return self.variables.get(name, "")

    def _around(self, back: int = 1) -> str:
        return repr(self.line[self.at - back : self.at + 12])
