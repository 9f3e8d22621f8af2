"""The runner's sources and their digest. Standard library only: the wheel's build hook uses it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

NOT_COMPILED = frozenset({"target", "tests", "benches", "mutants"})
"""Folders, outside of `src`, that leave no trace in the binary. `mutants` does where the feature of that name is asked
for."""


def source_files(crate: Path, features: Collection[str] = ()) -> Iterator[Path]:
    """Everything the binary is made of, sorted by relative path."""
    left_out = NOT_COMPILED.difference(features)
    found: list[Path] = []
    for folder, names, files in os.walk(crate):
        if "src" not in Path(folder).relative_to(crate).parts:
            # Not only left out but not walked: a build leaves tens of thousands of files in target/.
            names[:] = [name for name in names if name not in left_out]
        found += [
            Path(folder, name)
            for name in files
            if not name.startswith(".#") and not name.endswith(("~", ".swp", ".md"))
        ]
    yield from sorted((path for path in found if path.is_file()), key=lambda path: path.relative_to(crate).as_posix())


def source_digest(crate: Path, features: Collection[str] = ()) -> str:
    """sha256 over names and contents of the crate's sources, as cargo's `features` take them in."""
    digest = hashlib.sha256()
    for path in source_files(crate, features):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(crate).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
