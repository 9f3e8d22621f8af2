"""The runner's sources and their digest. Standard library only: the wheel's build hook uses it too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

NOT_COMPILED = frozenset({"target", "tests", "benches"})
"""Folders, outside of `src`, that leave no trace in the binary."""


def source_files(crate: Path) -> Iterator[Path]:
    """Everything the binary is made of, sorted by relative path."""
    found = [
        path
        for path in crate.rglob("*")
        if not NOT_COMPILED.intersection(takewhile(lambda part: part != "src", path.relative_to(crate).parts))
        and not path.name.startswith(".#")
        and not path.name.endswith(("~", ".swp", ".md"))
        and path.is_file()
    ]
    yield from sorted(found, key=lambda path: path.relative_to(crate).as_posix())


def source_digest(crate: Path) -> str:
    """sha256 over names and contents of the crate's sources."""
    digest = hashlib.sha256()
    for path in source_files(crate):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(crate).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
