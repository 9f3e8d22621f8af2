"""`harness images` and `harness drivers`, as a person calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def harness(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HARNESS_CACHE_DIR": str(cache)},
    )


def test_drivers(tmp_path: Path) -> None:
    rows = json.loads(harness("drivers", "--json", cache=tmp_path).stdout)
    native = next(row for row in rows if row["name"] == "native")
    assert {"snapshot", "isolated", "owned"} <= set(native["capabilities"])
    text = harness("drivers", cache=tmp_path)
    assert text.returncode == 0
    assert "native" in text.stdout


def test_images_of_an_empty_cache(tmp_path: Path) -> None:
    listed = harness("images", "list", cache=tmp_path)
    assert listed.returncode == 0
    assert "harness images build debian-12" in listed.stdout
    assert json.loads(harness("images", "list", "--json", cache=tmp_path).stdout) == {
        "known": ["debian-12"],
        "built": [],
    }
    assert harness("images", "prune", "--all", cache=tmp_path).stdout == "nothing to remove\n"


@pytest.mark.parametrize("name", ["debian-99", "../etc"])
def test_an_unknown_image(tmp_path: Path, name: str) -> None:
    """Nothing is built before all names are known."""
    done = harness("images", "build", "debian-12", name, cache=tmp_path)
    assert done.returncode == 2
    assert f"there is no image {name!r}" in done.stderr
    assert "debian-12" in done.stderr
    assert not (tmp_path / "images").exists()
