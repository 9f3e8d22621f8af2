"""Folders that take each other's place in one step, so that a reader sees the old one or the new one:

NAME/current -> VERSION        replaced by one rename
NAME/VERSION/...               never changed
NAME/.DRAFT/...                being written
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path

_DRAFT_SECONDS = 86400.0
"""A draft belongs to whoever writes it; after so long nobody does."""

Discard = Callable[[Path], None]


def folders(home: Path) -> list[Path]:
    """All that lie in `home`, a NAME each."""
    return list(home.iterdir()) if home.is_dir() else []


def current(folder: Path) -> Path | None:
    """The version that `folder` has now."""
    try:
        return folder / (folder / "current").readlink()
    except OSError:
        return None


def publish(folder: Path, draft: Path) -> Path:
    """Make a finished draft, a folder in `folder` whose name begins with a dot, the current version."""
    final = folder / draft.name.removeprefix(".")
    draft.rename(final)
    link = folder / f".link-{final.name}"
    link.symlink_to(final.name)
    link.replace(folder / "current")
    return final


def sweep(folder: Path, used: Collection[str], discard: Discard = shutil.rmtree) -> None:
    """Remove versions that are neither current nor among the paths `used`, and forgotten drafts."""
    if not folder.is_dir():
        return
    now = current(folder)
    for entry in folder.iterdir():
        version = entry.is_dir() and not entry.is_symlink()
        if entry.name.startswith("."):
            version = version and entry.stat().st_mtime < time.time() - _DRAFT_SECONDS
        if version and entry != now and str(entry) not in used:
            discard(entry)
    if not any(folder.iterdir()):
        folder.rmdir()


def withdraw(folder: Path, used: Collection[str], discard: Discard = shutil.rmtree, *, drafts: bool = False) -> None:
    """Remove the current version and those that are not `used`; a second call does nothing. `drafts`: those too, which
    nobody may be writing any more."""
    (folder / "current").unlink(missing_ok=True)
    if folder.is_dir():
        for draft in folder.glob(".*") if drafts else ():
            discard(draft) if draft.is_dir() and not draft.is_symlink() else draft.unlink(missing_ok=True)
        sweep(folder, used, discard)
