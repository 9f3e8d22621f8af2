"""What the file system says of files without reading them: is a tree still what it was, how much does a file take."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path


def tree_digest(folder: Path) -> str:
    """sha256 over names, kinds, modes, owners, sizes, times of change and the targets of links below `folder`.

    A folder that may not be read counts as such: the same user sees the same. Raises OSError where there is none.
    """
    folder.lstat()
    digest = hashlib.sha256()
    for row in _rows(str(folder), ""):
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def space_taken(path: Path) -> int:
    """Bytes of the disk; a disk image and a guest's memory are mostly holes. Raises OSError."""
    found = path.stat()
    if sys.platform != "win32":
        return found.st_blocks * 512
    return found.st_size


def _rows(folder: str, prefix: str) -> Iterator[list[str | int]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        yield [prefix, "?"]
        return
    for entry in entries:
        name = prefix + entry.name
        seen = entry.stat(follow_symlinks=False)
        row: list[str | int] = [name, seen.st_mode, seen.st_uid, seen.st_gid]
        if stat.S_ISDIR(seen.st_mode):
            yield row
            yield from _rows(entry.path, f"{name}/")
        elif stat.S_ISLNK(seen.st_mode):
            yield [*row, str(Path(entry.path).readlink())]
        else:
            yield [*row, seen.st_size, seen.st_mtime_ns]
