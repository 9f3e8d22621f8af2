"""Programs that somebody else made, before they are called."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.compile.inspect import OS_OF, read_header
from harness.compile.targets import host_target, known_target
from harness.errors import ToolchainMissing


def where_is(word: str, folder: Path) -> Path:
    """A program by its path (relative to `folder`) or, without a slash, from PATH where it is there."""
    if "/" not in word and not (folder / word).is_file():
        found = shutil.which(word)
        return Path(found) if found else folder / word
    return folder / Path(word).expanduser()


def require_program(path: Path, what: str) -> Path:
    """The same path. Raises ToolchainMissing where nothing there can be read and executed on this machine."""
    if not path.exists():
        raise ToolchainMissing(f"{what}: there is no file {path}", hint="name an existing executable")
    if not path.is_file():
        raise ToolchainMissing(f"{what}: {path} is no file", hint="name an existing executable")
    if not os.access(path, os.X_OK):
        raise ToolchainMissing(f"{what}: {path} is not executable", hint=f"chmod +x {path}")
    try:
        header = read_header(path)
    except OSError as error:
        raise ToolchainMissing(f"{what}: {path} cannot be read: {error.strerror or error}") from error
    here = known_target(host_target())
    if header is not None and (OS_OF[header.format] != here.os or here.arch not in header.archs):
        raise ToolchainMissing(
            f"{what}: {path} is a program for {OS_OF[header.format]} {'/'.join(header.archs)}, but this machine is"
            f" {here.os} {here.arch}",
            hint="take the one that was built for this machine",
        )
    return path
