"""`harness console` and `harness screenshot` on a guest that never comes up, and what the run's report shows of it."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.registry import driver
from harness.scenario.skeleton import init_scenario

pytestmark = pytest.mark.libvirt

PNG = b"\x89PNG\r\n\x1a\n"
WORDS = "No bootable device: so says the disk itself"
# A boot sector that says its words on the screen (int 0x10) and on serial port (0x3f8), and then stands still.
SAYING = bytes.fromhex("31c0 8ed8 be1c7c ac 84c0 740d b40e bb0700 cd10 baf803 ee ebee f4 ebfd")
SCENARIO = """\
driver: {name: libvirt}
platforms: [{name: node1, image: "./mute.raw#seed=no&serial=yes", memory: 64, snapshot: false}]
provisioner: {name: binary, plan: plan.json}
verifier: {name: testinfra, directory: tests}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With a platform that is kept, whatever has become of it."""
    if problems := driver("libvirt").diagnose():
        pytest.skip("; ".join(map(str, problems)))
    folder = tmp_path_factory.mktemp("mute")
    init_scenario(folder, "mute", driver="libvirt")
    (folder / "molecule/mute/molecule.yml").write_text(SCENARIO)
    sector = (SAYING + WORDS.encode() + b"\r\n\0").ljust(510, b"\0") + b"\x55\xaa"
    (folder / "molecule/mute/mute.raw").write_bytes(sector.ljust(1 << 20, b"\0"))
    yield folder
    harness(folder, "destroy")


@pytest.fixture(scope="module")
def failed(project: Path) -> subprocess.CompletedProcess[str]:
    options = ("--destroy", "never", "--report-format", "html", "--output", "report.html")
    return harness(project, "test", *options)


def harness(project: Path, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", verb, "-s", "mute", *arguments],
        cwd=project,
        env={**os.environ, "HARNESS_CACHE_DIR": str(project / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_failure_ends_with_what_the_console_said(failed: subprocess.CompletedProcess[str]) -> None:
    assert failed.returncode == 2, failed.stdout + failed.stderr
    assert "node1: its disk cannot be booted" in failed.stdout
    assert WORDS in failed.stdout


def test_the_report_shows_its_screen(project: Path, failed: subprocess.CompletedProcess[str]) -> None:
    [picture] = re.findall(r'src="data:image/png;base64,([^"]*)"', (project / "report.html").read_text())
    [kept] = {path.resolve() for path in project.glob(".harness/runs/*/collected/node1/screen.png")}
    assert kept.read_bytes().startswith(PNG)
    assert base64.b64decode(picture) == kept.read_bytes()
    assert WORDS in kept.with_name("console.log").read_text()


def test_console(project: Path, failed: subprocess.CompletedProcess[str]) -> None:
    shown = harness(project, "console", "-h", "node1")
    assert (shown.returncode, shown.stdout.strip()) == (0, WORDS), shown.stderr


def test_console_goes_on_until_it_is_told_to_end(project: Path, failed: subprocess.CompletedProcess[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "console", "-s", "mute", "--follow"],
        cwd=project,
        env={**os.environ, "HARNESS_CACHE_DIR": str(project / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        try:
            assert following.stdout is not None
            assert following.stdout.readline().strip() == WORDS
            assert following.poll() is None, "it waits for more"
        finally:
            following.terminate()
        words = following.stderr.read() if following.stderr else ""
    assert "Traceback" not in words


def test_screenshot(project: Path, failed: subprocess.CompletedProcess[str]) -> None:
    done = harness(project, "screenshot")
    assert (done.returncode, done.stdout.strip()) == (0, "node1.png"), done.stderr
    assert (project / "node1.png").read_bytes().startswith(PNG)
