"""Killed at any moment, a run leaves nothing that `harness destroy --orphans` does not remove. For a soak only: each
machine takes a minute."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.drivers.base import RunId, ScenarioRef
from harness.drivers.vagrant import projects
from tests.drivers.subjects import SUBJECTS
from tests.shipped import copy_scenarios

HARNESS = [sys.executable, "-m", "harness"]
KILLS = min(int(os.environ.get("HARNESS_KILLS") or 5), 5)
pytestmark = pytest.mark.vagrant


def test_nothing_is_left_after_kills_at_random_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if problems := SUBJECTS["vagrant"].driver().diagnose():
        pytest.skip("; ".join(map(str, problems)))
    copy_scenarios(tmp_path)
    SUBJECTS["vagrant"].share(tmp_path / "cache")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    seed = time.time_ns()
    moments = random.Random(seed)
    for _ in range(KILLS):
        moment = moments.uniform(1, 60)
        with subprocess.Popen(
            [*HARNESS, "test", "-s", "vagrant"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                # The watcher, too, in every other round: then what is written down alone tells.
                doomed = psutil.Process(process.pid).children(recursive=True) if moments.random() < 0.5 else []
                for one in [psutil.Process(process.pid), *doomed]:
                    one.kill()
        left: list[str] = ["not looked yet"]
        for _ in range(3):  # libvirtd may still be at what it was told before the kill
            done = subprocess.run([*HARNESS, "destroy", "--orphans"], cwd=tmp_path, capture_output=True, check=False)
            assert done.returncode == 0, (seed, moment, done.stdout, done.stderr)
            if not (left := remains(tmp_path)):
                break
            time.sleep(2)
        assert left == [], (seed, moment)


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
