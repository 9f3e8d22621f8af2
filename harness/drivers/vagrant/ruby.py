"""Ruby literals, read and written. A Vagrantfile is a Ruby program; what a scenario says goes into it as values only.

Molecule's `*_raw_config_args` are lines of Ruby. Here a line is read as one assignment or one call with literal
arguments, and written anew from what was read: nothing of it is ever run as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Value = None | bool | int | float | str | Sequence["Value"] | Mapping[str, "Value"]
"""As in YAML; the keys of a mapping are symbols in Ruby."""


@dataclass(frozen=True)
class Symbol:
    """`:id`: a name that Vagrant knows."""

    name: str


@dataclass(frozen=True)
class Statement:
    """`path = arguments[0]` where `assigns`, else `path arguments..., key: value...`."""

    path: str
    assigns: bool
    arguments: tuple[object, ...] = ()
    options: tuple[tuple[str, object], ...] = field(default=())

    def written(self, receiver: str) -> str:
        if self.assigns:
            return f"{receiver}.{self.path} = {literal(self.arguments[0])}"
        words = [literal(value) for value in self.arguments]
        words += [f"{key}: {literal(value)}" for key, value in self.options]
        return f"{receiver}.{self.path}({', '.join(words)})"


NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"[a-z_][A-Za-z0-9_]*(\.[a-z_][A-Za-z0-9_]*)*")
_EVERY_OBJECT_HAS = frozenset(
    re.findall(
        r"\w+",
        """
        __id__ __send__ class class_eval class_exec clone const_get const_set define_method define_singleton_method
        display dup enum_for eval exec extend fork freeze gem hash inspect instance_eval instance_exec
        instance_variable_get instance_variable_set instance_variables itself load method methods module_eval
        module_exec object_id private_methods public_method public_methods public_send remove_instance_variable
        require require_relative send singleton_class singleton_method singleton_methods spawn system tap then
        to_enum to_s yield_self
        """,
    )
)
"""Methods by which Ruby could be run from a string, or another receiver be reached: no setting of Vagrant's is one."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<quoted>"(?:[^"\\]|\\.)*":(?!:))
    | (?P<single>'(?:[^'\\]|\\.)*')
    | (?P<double>"(?:[^"\\]|\\.)*")
    | (?P<number>-?\d[\d_]*(?:\.\d+)?(?![\w.]))
    | (?P<key>[A-Za-z_]\w*:(?!:))
    | (?P<symbol>:[A-Za-z_]\w*[?!]?)
    | (?P<word>true|false|nil)\b
    | (?P<null>File::NULL)\b
    | (?P<mark>=>|[\[\]{}(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "s": " "}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "nil": None}


def literal(value: object) -> str:
    """A value as Ruby source, on one line. Raises ValueError for what Ruby has no literal for."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(f"{value} is no number that Ruby could read")
        return repr(value)
    if isinstance(value, Symbol):
        return f":{value.name}"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(key))}: {literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(literal(one) for one in value) + "]"
    raise ValueError(f"{type(value).__name__} has no literal in Ruby")


def _text(text: str) -> str:
    return '"' + "".join(_character(character) for character in text) + '"'


def _character(character: str) -> str:
    """`#` would begin an interpolation; control characters and all beyond ASCII are told by number."""
    if character.isascii() and character.isprintable():
        return "\\" + character if character in '"\\#' else character
    if 0xD800 <= ord(character) <= 0xDFFF:
        raise ValueError("half a surrogate pair is no character")
    return f"\\u{{{ord(character):x}}}"


def check_path(path: str) -> None:
    """`vm.boot_timeout`: raises ValueError for what is no setting's name."""
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is no setting's name such as vm.boot_timeout")
    for name in path.split("."):
        if name in _EVERY_OBJECT_HAS:
            raise ValueError(f"{name!r} is no setting of Vagrant's")


def parse(line: str) -> Statement:
    """`vm.network "forwarded_port", guest: 80, host: 8080` or `cpuset = '1-4'`. Raises ValueError for anything else."""
    text = line.strip()
    found = _PATH.match(text)
    if not found:
        raise ValueError(f"{line!r} does not begin with a setting's name")
    path, rest = found[0], text[found.end() :]
    check_path(path)
    after = rest.lstrip()
    assigns = after.startswith("=") and not after.startswith(("==", "=~", "=>"))
    reader = _Reader(list(_tokens(after[1:] if assigns else after, line)), line)
    if assigns:
        statement = Statement(path, True, (reader.value(),))
    else:
        arguments, options = reader.arguments()
        statement = Statement(path, False, tuple(arguments), tuple(options))
    reader.end()
    return statement


Token = tuple[str, str]


def _tokens(text: str, line: str) -> Iterator[Token]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise _no_literal(text[position:].strip(), line)
        yield found.lastgroup, found[found.lastgroup]
        position = found.end()


def _no_literal(what: str, line: str) -> ValueError:
    return ValueError(
        f"{line!r}: {what[:40]!r} is more than a value (texts, numbers, symbols, lists and mappings are); "
        "Ruby from a scenario is not run: a Vagrantfile of your own can say it (`vagrantfile:`)"
    )


class _Reader:
    def __init__(self, tokens: list[Token], line: str) -> None:
        self._tokens = tokens
        self._line = line
        self._at = 0

    def arguments(self) -> tuple[list[object], list[tuple[str, object]]]:
        """Of a call, with or without parentheses around all of them."""
        closing = self._accept("(")
        values: list[object] = []
        options: list[tuple[str, object]] = []
        while self._left() and not (closing and self._peek() == ("mark", ")")):
            if values or options:
                self._expect(",")
            key = self._key()
            if key is not None and not NAME.fullmatch(key):
                raise _no_literal(key, self._line)
            if key is not None:
                options.append((key, self.value()))
            elif options:
                raise _no_literal(self._peek()[1], self._line)
            else:
                values.append(self.value())
        if closing:
            self._expect(")")
        return values, options

    def value(self) -> object:
        kind, text = self._next()
        if kind == "number":
            return float(text) if "." in text else int(text.replace("_", ""))
        if kind == "word":
            return _WORDS[text]
        if kind == "null":
            return "/dev/null"  # where a serial port of VirtualBox's is led in many a scenario
        if kind == "symbol":
            return Symbol(text[1:])
        if kind in ("single", "double"):
            return self._unquoted(kind, text)
        if text == "[":
            return self._list()
        if text == "{":
            return self._mapping()
        raise _no_literal(text, self._line)

    def end(self) -> None:
        if self._left():
            raise _no_literal(self._peek()[1], self._line)

    def _list(self) -> list[object]:
        found: list[object] = []
        while not self._accept("]"):
            if found:
                self._expect(",")
            found.append(self.value())
        return found

    def _mapping(self) -> dict[str, object]:
        found: dict[str, object] = {}
        while not self._accept("}"):
            if found:
                self._expect(",")
            key = self._key()
            if key is None:
                raise _no_literal(self._peek()[1], self._line)
            found[key] = self.value()
        return found

    def _key(self) -> str | None:
        """`guest:`, `"guest":` or `:guest =>`."""
        kind, text = self._peek()
        if kind == "quoted":
            self._at += 1
            return self._unquoted("double", text[:-1])
        if kind == "key":
            self._at += 1
            return text[:-1]
        if kind == "symbol" and self._peek(1) == ("mark", "=>"):
            self._at += 2
            return text[1:]
        return None

    def _unquoted(self, kind: str, text: str) -> str:
        body = text[1:-1]
        if kind == "single":
            return re.sub(r"\\(['\\])", r"\1", body)
        if any(found[0].startswith("#") for found in re.finditer(r"\\.|#[{$@]", body, re.DOTALL)):
            raise _no_literal(text, self._line)
        return re.sub(r"\\(.)", self._unescaped, body, flags=re.DOTALL)

    def _unescaped(self, found: re.Match[str]) -> str:
        if found[1].isalnum() and found[1] not in _ESCAPES:
            raise _no_literal(found[0], self._line)
        return _ESCAPES.get(found[1], found[1])

    def _left(self) -> bool:
        return self._at < len(self._tokens)

    def _peek(self, further: int = 0) -> Token:
        at = self._at + further
        return self._tokens[at] if at < len(self._tokens) else ("end", "the end of the line")

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _accept(self, mark: str) -> bool:
        if self._peek() == ("mark", mark):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._accept(mark):
            raise _no_literal(self._peek()[1], self._line)
