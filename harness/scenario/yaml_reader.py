"""YAML into nodes: what PyYAML's safe loader reads, with positions, without surprises.

Built from the parser's events, which come one by one whatever the nesting: depth, size and what aliases expand to
are limited before anything is built of them. Unlike the safe loader: a key that stands twice is an error, a date
stays text (JSON has none), keys are text (`on:` is not true), and numbers are finite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import ScalarNode

from harness.errors import InvalidInput, Problem
from harness.models.problems import shown
from harness.scenario.nodes import Node, Scalar, mapping, sequence
from harness.scenario.source import display

MAX_DEPTH = 60
MAX_VALUES = 50_000
"""Values of one document with its aliases expanded ("a billion laughs" has 10^9)."""

# libyaml's parser where PyYAML was built with it (its wheels are): ten times faster, same events, same marks.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_AS_TEXT = frozenset({f"{_TAG}{name}" for name in ("str", "timestamp", "value", "merge")})
_SCALARS = frozenset({"null", "bool", "int", "float"})
_MERGE = f"{_TAG}merge"


def read_yaml(
    text: str, file: Path, *, lines: Sequence[int] | None = None, may_be_empty: bool = False
) -> tuple[Node, list[Problem]]:
    """The document and what is wrong with it; an empty mapping for nothing, where that is allowed.

    `lines[n]` is the line of the file (from 1) that line n of the text (from 0) stands for. Raises InvalidInput where
    there is no document to speak of: a syntax error, nothing, too much.
    """
    root, problems = _Reader(text, file, lines).document()
    if may_be_empty and (root is None or root.value is None):
        root = mapping({}, file, 1 if root is None else root.line)
    if root is None:
        raise InvalidInput(display(file), [Problem(f"{display(file)}:1", "the file is empty")])
    return root, problems


class _Reader:
    def __init__(self, text: str, file: Path, lines: Sequence[int] | None) -> None:
        self.text = text
        self.file = file
        self.lines = lines
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        self.loader: Any = yaml.SafeLoader("")
        self.events: Iterator[Any] = iter(())

    def document(self) -> tuple[Node | None, list[Problem]]:
        try:
            self.text.encode()
            self.events = iter(yaml.parse(self.text, Loader=_PARSER))
            root: Node | None = None
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        raise self._refused(event, "a second document begins here; there can be only one")
                    root = self._node(next(self.events), 0)
        except UnicodeEncodeError as error:  # from a variable: Python keeps its undecodable bytes as lone surrogates
            line = self.text.count("\n", 0, error.start)
            raise self._invalid(self._original(line), "a variable's value is not UTF-8 text") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            words = " ".join(part for part in (error.context, error.problem) if part)
            if mark is not None and self.text[mark.index : mark.index + 1] == "\t":
                words = "a tab stands where the indentation is; YAML is indented with spaces"
            raise self._invalid(self._line(mark), f"not YAML: {words}") from error
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position)
            raise self._invalid(
                self._original(line), f"not YAML: character {shown(error.character)} is not allowed"
            ) from error
        except yaml.YAMLError as error:
            raise self._invalid(self._original(0), f"not YAML: {error}") from error
        return root, self.problems

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        if depth > MAX_DEPTH:
            raise self._refused(event, f"nested more than {MAX_DEPTH} deep")
        anchor = event.anchor
        if anchor:
            self.anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event), self.file, self._line(event.start_mark))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if node.size > MAX_VALUES:
            raise self._refused(event, f"more than {MAX_VALUES} values once aliases are expanded")
        if anchor:
            self.anchors[anchor] = node
        return node

    def _aliased(self, event: Any) -> Node:
        if event.anchor not in self.anchors:
            raise self._refused(event, f"no anchor &{event.anchor} stands before this alias")
        node = self.anchors[event.anchor]
        if node is None:
            raise self._refused(event, f"*{event.anchor} would contain itself")
        return node

    def _sequence(self, start: Any, depth: int) -> Node:
        self._check_tag(start, "seq")
        children = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            children.append(self._node(event, depth + 1))
        return sequence(children, self.file, self._line(start.start_mark))

    def _mapping(self, start: Any, depth: int) -> Node:
        self._check_tag(start, "map")
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = self._line(event.start_mark)
            key = self._key(event, depth)
            node = self._node(next(self.events), depth + 1)
            if isinstance(event, yaml.ScalarEvent) and self._tag(event) == _MERGE:
                merged = {**self._merged(node), **merged}
            elif key is not None and key in own:
                self._problem(line, f"the key {shown(key)} stands here twice; first on line {own[key].line}")
            elif key is not None:
                # The key's line: where a person looks for it, also when the value begins further down.
                own[key] = Node(node.value, self.file, line, node.size)
        return mapping({**merged, **own}, self.file, self._line(start.start_mark))

    def _key(self, event: Any, depth: int) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        node = self._node(event, depth + 1)
        if isinstance(event, yaml.AliasEvent) and isinstance(node.value, str):
            return node.value
        self._problem(node.line, "a key must be plain text")
        return None

    def _merged(self, node: Node) -> dict[str, Node]:
        """What `<<` brings in (yaml.org/type/merge.html): a mapping, or a list of them, earlier ones first."""
        sources = node.value if isinstance(node.value, tuple) else (node,)
        found: dict[str, Node] = {}
        for source in reversed(sources):
            if not isinstance(source.value, dict):
                self._problem(node.line, "<< takes a mapping or a list of mappings")
                return {}
            found |= source.value
        return found

    def _tag(self, event: Any) -> str:
        """The tag that is written, or that a plain scalar's form implies."""
        if event.tag and event.tag != "!":
            return str(event.tag)
        return str(self.loader.resolve(ScalarNode, event.value, event.implicit))

    def _scalar(self, event: Any) -> Scalar:
        tag, line = self._tag(event), self._line(event.start_mark)
        if "\0" in event.value:  # no path, argument or variable can hold one
            self._problem(line, "a NUL character is not allowed")
            return None
        if tag in _AS_TEXT:
            return str(event.value)
        if tag.removeprefix(_TAG) not in _SCALARS:
            self._check_tag(event, "str")
            return None
        try:
            value = self._constructed(tag, event.value)
        except (ValueError, OverflowError, KeyError, IndexError, yaml.YAMLError):
            self._problem(line, f"{shown(event.value)} is no {tag.removeprefix(_TAG)}")
            return None
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            self._problem(line, f"{shown(value)} does not fit in 64 bits")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._problem(line, f"{shown(event.value)} is not a finite number")
            return None
        return value

    def _constructed(self, tag: str, text: str) -> Scalar:
        node = ScalarNode(tag, text)
        match tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return bool(self.loader.construct_yaml_bool(node))
            case "int":
                return int(self.loader.construct_yaml_int(node))
            case "float":
                return float(self.loader.construct_yaml_float(node))
        raise ValueError(tag)

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag and event.tag not in ("!", f"{_TAG}{kind}"):
            self._problem(self._line(event.start_mark), f"the tag {shown(event.tag)} is not known here")

    def _line(self, mark: Any) -> int:
        return self._original(mark.line if mark is not None else 0)

    def _original(self, number: int) -> int:
        if self.lines is None:
            return number + 1
        return self.lines[min(number, len(self.lines) - 1)] if self.lines else 1

    def _problem(self, line: int, words: str) -> None:
        self.problems.append(Problem(f"{display(self.file)}:{line}", words))

    def _refused(self, event: Any, words: str) -> InvalidInput:
        return self._invalid(self._line(event.start_mark), words)

    def _invalid(self, line: int, words: str) -> InvalidInput:
        return InvalidInput(display(self.file), [*self.problems, Problem(f"{display(self.file)}:{line}", words)])
