"""The folders that ship with the harness, in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import harness
from harness.errors import HarnessError

Folder = Literal["runner", "fixtures", "verify", "docker", "disks", "vagrant", "molecule"]


def data_dir(folder: Folder) -> Path:
    """Absolute path of a shipped folder.

    A wheel holds it under `harness/_data/` (a top-level `docker/` in site-packages would overwrite the docker SDK),
    a checkout at its top. Raises HarnessError when the installation lacks it.
    """
    package = Path(harness.__file__).resolve().parent
    shipped = package / "_data" / folder
    if shipped.is_dir():
        return shipped
    checkout = package.parent / folder
    if (package.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    raise HarnessError(
        f"this installation of the harness lacks its folder {folder!r} (neither {shipped} nor {checkout} exists)",
        hint="install it again: pip install --force-reinstall harness-e2e",
    )
