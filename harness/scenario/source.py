"""Reading a file that a person wrote, without trusting it: a regular file, not huge, UTF-8."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from harness.errors import InvalidInput, Problem

MAX_BYTES = 1024 * 1024
"""Of molecule.yml, harness.toml and what is layered with them; real ones have a few kilobytes."""

# What both YAML parsers count as a line break (yaml.reader.Reader.forward, YAML 1.1 section 4.2).
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def display(path: Path) -> str:
    """The path as a person here would type it: relative where it lies under the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def is_file(path: Path) -> bool:
    """A file that can be seen; pathlib raises where a folder above it may not be searched."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_unreadable(folder: Path) -> bool:
    """A folder that this user may not look into: whatever it holds, it is not nothing."""
    return is_folder(folder) and not os.access(folder, os.R_OK | os.X_OK)


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_text(path: Path, *, limit: int = MAX_BYTES) -> str:
    """Raises InvalidInput that says why the file can't be read, or where it stops being text."""
    data = read_bytes(path, limit=limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}"
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            problem = "is UTF-16; save it as UTF-8"
        raise InvalidInput(display(path), [Problem(f"{display(path)}:{line}", problem)]) from error


def read_bytes(path: Path, *, limit: int = MAX_BYTES) -> bytes:
    """Raises InvalidInput when there is no such regular file or it is larger than `limit` bytes."""
    try:
        with path.open("rb") as stream:
            found = stat.S_IFMT(path.stat().st_mode)
            data = stream.read(limit + 1) if found == stat.S_IFREG else None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidInput(display(path), [Problem(display(path), reason)]) from error
    if data is None:
        raise InvalidInput(display(path), [Problem(display(path), "not a regular file")])
    if len(data) > limit:
        raise InvalidInput(display(path), [Problem(display(path), f"larger than {limit} bytes")])
    return data
