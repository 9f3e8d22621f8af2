"""Where what all projects share is kept: stubs, binaries, images."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import HarnessError


def cache_dir() -> Path:
    """The user's cache folder of the harness, made (mode 0700) when it is missing.

    `HARNESS_CACHE_DIR` names another one. Raises HarnessError when it cannot be made.
    """
    from platformdirs import user_cache_path

    named = os.environ.get("HARNESS_CACHE_DIR")
    folder = Path(named).absolute() if named else user_cache_path("harness", appauthor=False)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(
            f"the cache folder {folder} cannot be made: {error.strerror or error}",
            hint="set HARNESS_CACHE_DIR to a folder that you may write to",
        ) from error
    return folder
