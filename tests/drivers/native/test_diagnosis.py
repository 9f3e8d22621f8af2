"""Where there can be no sandbox, which thing forbids it and how to allow it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.drivers.native import diagnosis, identity
from tests.drivers.native.conftest import World

WITHOUT = """
from harness.drivers.native import NativeDriver
for problem in NativeDriver().diagnose():
    print(problem.message)
    print(problem.hint)
"""


@pytest.mark.root
@pytest.mark.sandbox
def test_root_without_sys_admin(root_world: World) -> None:
    """As in a plain Docker container: the kernel refuses for real."""
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    command = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all", sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message, hint = done.stdout.splitlines()
    assert "make a mount name space: Operation not permitted" in message
    assert "--cap-add SYS_ADMIN --security-opt seccomp=unconfined" in hint


@pytest.mark.root
@pytest.mark.sandbox
def test_a_chroot_is_refused(root_world: World, tmp_path: Path) -> None:
    """What entered a sandbox made there would run on the real root, so neither diagnosis nor creation may pass."""
    (tmp_path / "root").mkdir()
    making = """
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.errors import DriverFailed
from pathlib import Path
scenario = ScenarioRef(Path("/tmp"), "x", Path("/tmp"))
with NativeDriver().open(scenario, RunId("r1"), keep=False) as site:
    try:
        site.create([PlatformSpec("node1", "native", options=NativeDriver.platform_options())], {})
        print("created")
    except DriverFailed as error:
        print(error.message)
"""
    script = f'mount --rbind / "{tmp_path}/root" && exec chroot "{tmp_path}/root" "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", WITHOUT + making]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    message, hint, creation = done.stdout.splitlines()
    assert "in a chroot" in message
    assert "outside the chroot" in hint
    assert "in a chroot" in creation


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("_MOST", "0", "user.max_user_namespaces"),
        ("_CLONE", "0", "kernel.unprivileged_userns_clone=1"),
        ("_APPARMOR", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ],
)
def test_the_settings_that_forbid(
    setting: str, value: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "setting"
    file.write_text(value + "\n")
    for name in ("_MOST", "_CLONE", "_APPARMOR"):
        monkeypatch.setattr(diagnosis, name, file if name == setting else tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert words in diagnosis.cure("make a user name space: Operation not permitted")


def test_words_lead_to_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "modprobe overlay" in diagnosis.cure("mount overlay on /x: No such device")
    error = diagnosis.failure("node1", "make a mount name space: No space left on device")
    assert error.message == "node1: no sandbox could be made: make a mount name space: No space left on device"
    assert "max_" in str(error.hint)


def test_too_few_open_files() -> None:
    assert "ulimit -n" in diagnosis.cure("open mounts/layers: Too many open files")


def test_a_user_without_further_ids_can_use_it_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert diagnosis.limits() == []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (limit,) = diagnosis.limits()
    assert "only the user root" in limit.message
    assert limit.hint == "apt-get install uidmap"


def test_without_newuidmap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert identity.for_this_user().single
    assert "apt-get install uidmap" in diagnosis.cure("map user ids: newuidmap exited with 1")
