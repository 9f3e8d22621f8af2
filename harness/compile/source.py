"""The runner's sources and their digest. Standard library only: the wheel's build hook uses it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

NOT_COMPILED = frozenset({"target", "tests", "benches", "mutants"})
"""Folders, outside of `src`, that leave no trace in the binary. `mutants` does where the feature of that name is asked
for."""


def source_files(crate: Path, features: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    """Everything the binary is made of with its path in the crate (`/` between its parts), sorted by that."""
    left_out = NOT_COMPILED.difference(features)
    found: list[tuple[str, Path]] = []
    for folder, names, files in os.walk(crate):
        inside = folder[len(str(crate)) :].replace(os.sep, "/").lstrip("/")
        if "src" not in inside.split("/"):
            # Not only left out but not walked: a build leaves tens of thousands of files in target/.
            names[:] = [name for name in names if name not in left_out]
        found += [
            (f"{inside}/{name}" if inside else name, Path(folder, name))
            for name in files
            if not name.startswith(".#") and not name.endswith(("~", ".swp", ".md"))
        ]
    yield from sorted((name, path) for name, path in found if path.is_file())


def source_digest(crate: Path, features: Collection[str] = ()) -> str:
    """sha256 over names and contents of the crate's sources, as cargo's `features` take them in."""
    digest = hashlib.sha256()
    for name, path in source_files(crate, features):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
