"""kill -9 at any moment, then `harness destroy --orphans`: nothing of ours is left, and strangers are untouched."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.docker_images import BASE, of_ours, usual_client
from tests.shipped import copy_scenarios

if TYPE_CHECKING:
    from docker.api.client import APIClient

pytestmark = [pytest.mark.docker, pytest.mark.slow]

ROUNDS = int(os.environ.get("HARNESS_KILLS") or (50 if os.environ.get("HARNESS_SOAK") else 3))
HARNESS = [sys.executable, "-m", "harness"]


@pytest.fixture
def client() -> Iterator[APIClient]:
    with usual_client() as opened:
        yield opened


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy_scenarios(tmp_path)
    monkeypatch.setenv("PLATFORM_IMAGE", BASE)
    return tmp_path


def volumes(client: APIClient) -> set[str]:
    return {row["Name"] for row in client.volumes()["Volumes"] or []}


def test_nothing_is_left_after_kills_at_random_moments(client: APIClient, project: Path) -> None:
    seed = time.time_ns()
    moments = random.Random(seed)
    before = volumes(client)
    stranger = client.create_container(BASE, ["sleep", "1000"], name=f"harness-{seed}-node1")["Id"]
    try:
        for _ in range(ROUNDS):
            moment = moments.uniform(0.3, 8)
            process = subprocess.Popen(
                [*HARNESS, "test", "-s", "docker"],
                cwd=project,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                # The watcher, too, in every other round: then the labels alone tell.
                doomed = psutil.Process(process.pid).children(recursive=True) if moments.random() < 0.5 else []
                process.kill()
                for child in doomed:
                    child.kill()
            process.wait()
            done = subprocess.run([*HARNESS, "destroy", "--orphans"], cwd=project, capture_output=True, check=False)
            assert done.returncode == 0, (seed, moment, done.stdout, done.stderr)
            assert settled(client, project) == [], (seed, moment)
        assert client.inspect_container(stranger)["State"]["Status"] == "created"
        assert volumes(client) == before
    finally:
        client.remove_container(stranger, force=True)


def settled(client: APIClient, project: Path) -> list[str]:
    """What is left, after what the daemon was told before the kill has been done: it may still be creating it."""
    for _ in range(3):
        if not (left := of_ours(client, project)):
            return []
        time.sleep(1)
        subprocess.run([*HARNESS, "destroy", "--orphans"], cwd=project, capture_output=True, check=False)
    return left
