"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 beside `path` (its folders are made) and rename over it; a failure leaves nothing. Raises OSError.

    A link is followed and stays. What is no file (`/dev/stdout`, a named pipe) is written into, never replaced.
    """
    if path.is_dir():
        raise IsADirectoryError(21, "is a folder", str(path))
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made by the kernel's own rules, so that the user's umask holds: tempfile would make it 0600.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
