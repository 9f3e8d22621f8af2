"""Real sandboxes in a cache folder of the test's own: no other run sees them, and they see no other's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.deadline import Deadline
from harness.drivers.base import Instance, PlatformSpec, RunId, ScenarioRef, Site, Snapshot
from harness.drivers.native import NativeDriver
from harness.drivers.native.options import NativeOptions
from harness.models.endpoint import Sandbox
from harness.sandbox.command import enter_command


def run(endpoint: Sandbox, command: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """A shell command inside, as the connection would enter."""
    return subprocess.run(
        enter_command(endpoint, ["sh", "-c", command], **how),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def output(endpoint: Sandbox, command: str, **how: Any) -> str:
    """What it wrote; it must succeed."""
    done = run(endpoint, command, **how)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def ask(endpoint: Sandbox, script: str, *arguments: str) -> Any:
    """What a Python script inside prints as JSON."""
    done = subprocess.run(
        enter_command(endpoint, ["python3", "-I", "-", *arguments]),
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass
class World:
    """A project, and the sandboxes of one run of it."""

    project: Path
    driver: NativeDriver = field(default_factory=NativeDriver)
    run: RunId = field(default_factory=lambda: RunId("run-1"))

    @property
    def scenario(self) -> ScenarioRef:
        return ScenarioRef(self.project, "default", self.project)

    def open(self, *, keep: bool = False) -> Site:
        return self.driver.open(self.scenario, self.run, keep=keep)

    def spec(self, name: str = "node1", image: str | None = None, **options: Any) -> PlatformSpec:
        return PlatformSpec(name, "native", image=image, options=NativeOptions.model_validate(options))

    def make(
        self, site: Site, spec: PlatformSpec, bases: Mapping[str, Snapshot] | None = None
    ) -> tuple[Instance, Sandbox]:
        (instance,) = site.create([spec], bases or {})
        endpoint = site.wait_ready(instance, Deadline(60))
        assert isinstance(endpoint, Sandbox)
        return instance, endpoint


@pytest.fixture(scope="session")
def shared_cache() -> Path:
    """The cache folder of whoever runs the tests: an image takes a minute to build."""
    from harness.cache import cache_dir

    return cache_dir()


@pytest.fixture(scope="session")
def possible() -> None:
    """Skips where there can be no sandbox."""
    if sys.platform != "linux":
        pytest.skip("sandboxes are Linux")
    problems = NativeDriver().diagnose()
    if problems:
        pytest.skip(str(problems[0]))


@pytest.fixture
def world(tmp_path: Path, shared_cache: Path, possible: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    cache = tmp_path / "cache"
    cache.mkdir()
    images = shared_cache / "images"
    images.mkdir(exist_ok=True)
    (cache / "images").symlink_to(images)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(cache))
    yield World(tmp_path / "project")
    for record in NativeDriver().instances():
        NativeDriver().reap(record)


@pytest.fixture
def root_world(world: World) -> World:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return world


@pytest.fixture(scope="session")
def debian(shared_cache: Path) -> str:
    """The name of the image, built."""
    from harness.drivers import images

    if images.find("debian-12") is None and images.missing_tools():
        pytest.skip(f"building an image needs {', '.join(images.missing_tools())}")
    images.ensure("debian-12")
    return "debian-12"
