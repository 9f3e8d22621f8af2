"""Whether libvirtd can keep disks in pools."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.drivers.vagrant import pools

# What virsh 11.3 says of a libvirtd 11.3 without that driver.
REFUSAL = """\
error: Failed to get the number of active pools
error: this function is not supported by the connection driver: virConnectNumOfStoragePools
"""


def virsh(folder: Path, words: str, status: int) -> None:
    (folder / "words").write_text(words)
    (folder / "virsh").write_text(f"#!/bin/sh\ncat {folder}/words >&2\nexit {status}\n")
    (folder / "virsh").chmod(0o755)


@pytest.mark.parametrize(("installed", "cure"), [(True, "restart it: "), (False, "apt-get install ")])
def test_a_daemon_without_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, cure: str
) -> None:
    virsh(tmp_path, REFUSAL, 1)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if installed:
        (tmp_path / "x/libvirt/connection-driver").mkdir(parents=True)
        (tmp_path / "x/libvirt/connection-driver/libvirt_driver_storage.so").touch()
    monkeypatch.setattr(pools, "_DRIVERS", tmp_path)
    [problem] = pools.problems()
    assert "has no storage driver" in problem.message
    assert (problem.hint or "").startswith(cure)
    assert ("before that was installed" in problem.message) == installed


@pytest.mark.parametrize(("words", "status"), [("", 0), ("error: failed to connect to the hypervisor", 1)])
def test_other_words_are_not_of_pools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, status: int) -> None:
    virsh(tmp_path, words, status)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert pools.problems() == []
