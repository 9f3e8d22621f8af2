"""Whether units are confined: on platforms where they are, and on one where systemd may not mount."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.connections import open_connection
from harness.deadline import Deadline
from harness.drivers.base import Driver, PlatformSpec, RunId, ScenarioRef
from harness.drivers.docker import DockerDriver
from harness.drivers.docker.options import DockerOptions
from harness.lifecycle import units

FORBIDDEN = DockerOptions(
    override_command=False,
    network_mode="none",
    env={"container": "docker"},
    tmpfs=["/run", "/run/lock"],
    volumes=["/sys/fs/cgroup:/sys/fs/cgroup:ro"],
    cgroupns_mode="host",
)
"""systemd as PID 1 without CAP_SYS_ADMIN: it boots (under cgroup v1), and leaves out what it may not do."""
UP = "until systemctl is-system-running | grep -qE 'running|degraded'; do sleep 0.1; done"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    driver = DockerDriver()
    if problems := driver.diagnose():
        pytest.skip(str(problems[0]))
    from harness import daemon
    from harness.drivers.docker.images import Finder

    client = daemon.connect(daemon.default_address())
    Finder(client, Path("/nonexistent"), DockerOptions(), print).find("debian-12-systemd")
    version = str(client.info().get("CgroupVersion") or "1")
    client.close()
    if version != "1":
        pytest.skip("under cgroup v2 systemd does not boot without CAP_SYS_ADMIN")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    yield driver


@pytest.mark.docker
def test_a_container_whose_systemd_may_not_mount(docker: Driver, tmp_path: Path) -> None:
    trial = docker.systemd_trial()
    assert trial is not None
    spec = PlatformSpec("weak", "docker", image=trial.image, options=FORBIDDEN)
    with docker.open(ScenarioRef(tmp_path, "tests", tmp_path), RunId("units"), keep=False) as site:
        [instance] = site.create([spec], {})
        with open_connection(site.wait_ready(instance, Deadline(60)), name="weak") as connection:
            connection.run(UP, timeout=60)
            assert units.unconfined(connection) == ["DynamicUser", "PrivateTmp", "ProtectSystem"]
        site.destroy(instance)


@pytest.mark.docker
def test_the_recipe_of_the_docker_driver_confines_them(docker: Driver) -> None:
    assert units.tried(docker) == []


@pytest.mark.systemd
@pytest.mark.image
def test_a_sandbox_confines_them() -> None:
    driver = registry.driver("native")
    if problems := driver.diagnose():
        pytest.skip(str(problems[0]))
    if driver.systemd_trial() is None:
        pytest.skip("the image debian-12 has not been built")
    assert units.tried(driver) == []
