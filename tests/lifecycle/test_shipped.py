"""The scenarios and fixtures that ship pass as their pages say, run as a user runs them."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.lifecycle.context import RunOptions
from harness.lifecycle.events import Silent
from harness.lifecycle.run import perform
from harness.models.results import Pass
from harness.models.scenario import Scenario
from harness.scenario import load_scenario, load_settings, scenario_from_fixture
from harness.scenario.settings import Settings
from tests.shipped import copy_scenarios

pytestmark = pytest.mark.cargo


def run(scenario: Scenario, driver: str) -> None:
    problems = registry.driver(driver).diagnose()
    if problems:
        pytest.skip("; ".join(str(problem) for problem in problems))
    result = perform(scenario, "test", RunOptions(), Silent())
    report = result.report.validation_report
    assert report is not None
    assert report.overall_result == Pass(), result.report.steps


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        pytest.param("docker", "docker", marks=pytest.mark.docker),
        pytest.param("systemd", "docker", marks=pytest.mark.docker),
        pytest.param("ssh", "native", marks=[pytest.mark.ssh, pytest.mark.sandbox]),
        pytest.param("systemd-native", "native", marks=[pytest.mark.systemd, pytest.mark.image]),
        pytest.param("libvirt", "libvirt", marks=pytest.mark.libvirt),
    ],
)
def test_scenarios(name: str, driver: str, tmp_path: Path) -> None:
    copy_scenarios(tmp_path)
    run(load_scenario(tmp_path, name, settings=Settings()), driver)


@pytest.fixture
def busybox_image() -> Iterator[str]:
    """A root file system of one static busybox: as small as Alpine's, without Python, bash, coreutils, a libc."""
    from harness import daemon

    program = shutil.which("busybox")
    if program is None:
        pytest.skip("busybox is not installed")
    if problems := registry.driver("docker").diagnose():
        pytest.skip(str(problems[0]))
    client = daemon.connect(daemon.default_address())
    client.import_image_from_data(_busybox_tree(Path(program)), repository="harness-local/tests", tag="busybox")
    yield "harness-local/tests:busybox"
    client.remove_image("harness-local/tests:busybox", force=True)
    client.close()


def _busybox_tree(program: Path) -> bytes:
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        tar.add(program.resolve(), "bin/busybox")
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name, text in (("passwd", b"root:x:0:0:root:/root:/bin/sh\n"), ("group", b"root:x:0:\n")):
            file = tarfile.TarInfo(f"etc/{name}")
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text))
    return data.getvalue()


@pytest.mark.docker
def test_a_platform_of_busybox_alone(busybox_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, transfers, the runner, drift and every check of the demo site need nothing that busybox has not."""
    monkeypatch.setenv("PLATFORM_IMAGE", busybox_image)
    shutil.rmtree(copy_scenarios(tmp_path) / "docker" / "tests")  # they use Python in the container
    file = tmp_path / "molecule" / "docker" / "molecule.yml"
    text = file.read_text().replace("  directory: tests\n", "  directory: ../../verify/site\n")
    file.write_text(text.replace("  additional_files_or_dirs: [../../../verify/site]\n", ""))
    run(load_scenario(tmp_path, "docker", settings=Settings()), "docker")


@pytest.mark.docker
@pytest.mark.parametrize("name", ["package_manager_plan", "service_management_plan"])
def test_fixtures_in_containers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the native driver all of them run for tests/verify/test_mutation.py."""
    monkeypatch.chdir(tmp_path)
    run(scenario_from_fixture(name, "docker", load_settings(tmp_path)), "docker")


@pytest.mark.libvirt
def test_services_of_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against an init that is nobody's guest."""
    monkeypatch.chdir(tmp_path)
    run(scenario_from_fixture("service_management_plan", "libvirt", load_settings(tmp_path)), "libvirt")


@pytest.mark.slow
@pytest.mark.vagrant
def test_one_plan_on_everything_at_once(tmp_path: Path) -> None:
    copy_scenarios(tmp_path)
    for driver in ("docker", "libvirt", "vagrant"):
        if problems := registry.driver(driver).diagnose():
            pytest.skip("; ".join(str(problem) for problem in problems))
    run(load_scenario(tmp_path, "everywhere", settings=Settings()), "native")
