"""The scenarios of this repository in a project of a test's own, so that runs leave nothing in the checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_scenarios(project: Path) -> Path:
    """All of them, with the shared suites they use: they refer to one another. Returns their folder."""
    leave = shutil.ignore_patterns(".harness", "__pycache__")
    for folder in ("molecule", "verify"):
        shutil.copytree(ROOT / folder, project / folder, ignore=leave)
    return project / "molecule"
