"""A document as a tree whose every value knows its file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from harness.models.problems import Keys, path_text
from harness.scenario.source import display

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Node:
    """`size` counts the values below it and itself, an alias as often as it is used."""

    value: Mapping[str, Node] | tuple[Node, ...] | Scalar
    file: Path
    line: int
    size: int = 1

    def plain(self) -> JsonValue:
        """The value as YAML's safe loader would give it."""
        if isinstance(self.value, Mapping):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, tuple):
            return [child.plain() for child in self.value]
        return self.value

    def find(self, keys: Keys) -> Node:
        """The value at a path, or the nearest one above it that exists."""
        node = self
        for key in keys:
            if isinstance(node.value, Mapping) and key in node.value:
                node = node.value[str(key)]
            elif isinstance(node.value, tuple) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
            else:
                break
        return node

    def where(self, keys: Keys) -> str:
        """`molecule/web/molecule.yml:12: platforms[0].image`."""
        found = self.find(keys)
        place = f"{display(found.file)}:{found.line}"
        return f"{place}: {path_text(keys)}" if keys else place


def mapping(children: Mapping[str, Node], file: Path, line: int) -> Node:
    return Node(children, file, line, 1 + sum(child.size for child in children.values()))


def sequence(children: Sequence[Node], file: Path, line: int) -> Node:
    return Node(tuple(children), file, line, 1 + sum(child.size for child in children))


def merge(base: Node, over: Node) -> Node:
    """`over` laid on `base`: mappings key by key, everything else replaced, as Molecule layers its files."""
    if not isinstance(base.value, Mapping) or not isinstance(over.value, Mapping):
        return over
    children = dict(base.value)
    for key, child in over.value.items():
        children[key] = merge(children[key], child) if key in children else child
    return mapping(children, over.file, over.line)
