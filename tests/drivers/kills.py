"""Runs that are killed at random moments: `harness destroy --orphans` finds all that they leave."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.drivers.subjects import SUBJECTS
from tests.shipped import copy_scenarios

HARNESS = [sys.executable, "-m", "harness"]


def nothing_is_left_after_kills(
    name: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kills: int,
    moments: tuple[float, float],
    remains: Callable[[Path], list[str]],
) -> None:
    """Of the shipped scenario `name` on the driver of that name, killed within `moments` (seconds); with a cache of its
    own, since all orphans there are removed."""
    copy_scenarios(project)
    SUBJECTS[name].share(project / "cache")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(project / "cache"))
    seed = time.time_ns()
    chance = random.Random(seed)
    for _ in range(kills):
        moment = chance.uniform(*moments)
        with subprocess.Popen(
            [*HARNESS, "test", "-s", name], cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                # The watcher, too, in every other round: then what is written down and labelled alone tells.
                doomed = psutil.Process(process.pid).children(recursive=True) if chance.random() < 0.5 else []
                for one in [psutil.Process(process.pid), *doomed]:
                    one.kill()
        left: list[str] = ["not looked yet"]
        for _ in range(3):  # libvirtd may still be at what it was told before the kill
            done = subprocess.run([*HARNESS, "destroy", "--orphans"], cwd=project, capture_output=True, check=False)
            assert done.returncode == 0, (seed, moment, done.stdout, done.stderr)
            if not (left := remains(project)):
                break
            time.sleep(2)
        assert left == [], (seed, moment)
