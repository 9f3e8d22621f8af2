"""Killed at any moment, a run leaves nothing that `harness destroy --orphans` does not remove. For a soak only: each
machine takes a minute."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from harness.drivers.base import RunId, ScenarioRef
from harness.drivers.vagrant import projects
from tests.drivers.kills import nothing_is_left_after_kills
from tests.drivers.subjects import SUBJECTS

KILLS = min(int(os.environ.get("HARNESS_KILLS") or 5), 5)
pytestmark = pytest.mark.vagrant


def test_nothing_is_left_after_kills_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if problems := SUBJECTS["vagrant"].driver().diagnose():
        pytest.skip("; ".join(map(str, problems)))
    nothing_is_left_after_kills("vagrant", tmp_path, monkeypatch, kills=KILLS, moments=(1, 60), remains=remains)


def remains(project: Path) -> list[str]:
    """Domains, disks, folders and processes of that project."""
    prefix = projects.prefix(ScenarioRef(project, "vagrant", project), RunId(""))
    said = [virsh("list", "--all", "--name"), virsh("vol-list", "--pool", "default")]
    of_libvirt = [line for line in "\n".join(said).splitlines() if line.strip().startswith(prefix)]
    folders = [str(path) for path in (project / "cache/vagrant/projects").glob("*/")]
    running = [str(one.info["cmdline"]) for one in psutil.process_iter(["cmdline"])]
    processes = [line for line in running if prefix in line or str(project / "cache/vagrant/projects") in line]
    return [*of_libvirt, *folders, *processes]


def virsh(*words: str) -> str:
    done = subprocess.run(["virsh", "-c", "qemu:///system", *words], capture_output=True, check=True, text=True)
    return done.stdout
