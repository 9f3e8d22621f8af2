"""`harness images ... --vagrant`: boxes that were made of our images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.drivers.vagrant import projects
from harness.drivers.vagrant.projects import Machine, Project

VERSION = "1.0.123456789"


def images(cache: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "images", *arguments, "--vagrant"],
        env={**os.environ, "HARNESS_CACHE_DIR": str(cache), "LIBVIRT_DEFAULT_URI": "test:///default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a box of an earlier disk."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    place = tmp_path / "vagrant/home/boxes/harness-VAGRANTSLASH-debian-12" / VERSION / "libvirt"
    place.mkdir(parents=True)
    (place / "box.img").write_bytes(b"x" * 2_000_000)
    (place.parents[1] / "metadata_url").write_text("file:///catalogue.json")
    return tmp_path


def test_it_is_listed_and_removed(cache: Path) -> None:
    listed = images(cache, "list")
    assert f"harness/debian-12    {VERSION}" in listed
    assert "of an earlier disk" in listed
    assert "harness images build --vagrant debian-12" in listed
    [row] = json.loads(images(cache, "list", "--json"))
    assert (row["name"], row["current"], row["used"]) == ("harness/debian-12", False, [])
    assert row["size"] >= 2_000_000
    assert images(cache, "prune") == f"removed harness/debian-12 {VERSION}, 2 MB\n"
    assert list((cache / "vagrant/home/boxes").iterdir()) == []
    assert images(cache, "prune") == "nothing to remove\n"


def test_what_a_machine_lies_on_stays(cache: Path) -> None:
    machine = Machine(platform="web", machine="web", provider="libvirt")
    project = Project(
        name="harness-0123456789-run", project="/project", scenario="s", run="run", kept=True, created=1.0,
        root="/project", own_home=True, machines=(machine,),
    )  # fmt: skip
    projects.announce(project, f"vm.box_version = '{VERSION}'")
    assert "used by /project: web" in images(cache, "list")
    assert images(cache, "prune", "--all") == f"left    harness/debian-12 {VERSION}: a machine lies on it\n"
    projects.forget(project, [machine])
    assert images(cache, "prune", "--all").startswith("removed harness/debian-12")
