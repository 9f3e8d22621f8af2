"""Finding the toolchain: what is missing or too old is told with the cure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.compile import toolchain
from harness.errors import ToolchainMissing
from tests.compile.conftest import write_crate

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stands in for compilers by shell scripts")


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No toolchain but the ones that a test makes in the returned folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "no-cargo-home"))
    monkeypatch.delenv("CC", raising=False)
    return folder


def compiler(folder: Path, release: str, *, status: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    said = f"rustc {release} (abc 2026-01-01)\\nbinary: rustc\\nhost: x86_64-unknown-linux-gnu\\nrelease: {release}\\n"
    for name in ("cargo", "rustc"):
        (folder / name).write_text(f"#!/bin/sh\nprintf '{said}'\necho 'no toolchain' >&2\nexit {status}\n")
        (folder / name).chmod(0o755)


def test_nothing_on_path(crate: Path) -> None:
    with pytest.raises(ToolchainMissing, match=r"Rust 1\.70 or newer is needed.*not on PATH") as caught:
        toolchain.find_toolchain(crate)
    assert "rustc-web" in str(caught.value.hint)


def test_cargo_without_rustc_is_not_a_toolchain(crate: Path, bare: Path) -> None:
    compiler(bare, "1.80.0")
    (bare / "rustc").unlink()
    with pytest.raises(ToolchainMissing, match="not on PATH"):
        toolchain.find_toolchain(crate)


def test_one_too_old_and_one_broken_are_both_told(
    crate: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(bare, "1.63.0")
    compiler(tmp_path / "broken", "1.90.0", status=1)
    monkeypatch.setenv("PATH", f"{bare}:{tmp_path / 'broken'}")
    with pytest.raises(ToolchainMissing) as caught:
        toolchain.find_toolchain(crate)
    assert "1.63.0 (abc 2026-01-01)', too old" in caught.value.message
    assert "does not work: no toolchain" in caught.value.message


def test_the_first_one_new_enough_is_taken(
    crate: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(bare, "1.63.0")
    compiler(tmp_path / "new", "1.90.1-nightly")
    monkeypatch.setenv("PATH", f"{bare}:{tmp_path / 'new'}")
    found = toolchain.find_toolchain(crate)
    assert found.cargo == tmp_path / "new" / "cargo"
    assert found.release == (1, 90, 1)
    assert found.host == "x86_64-unknown-linux-gnu"


def test_rustup_is_found_where_it_installs(crate: Path, tmp_path: Path) -> None:
    (tmp_path / "no-cargo-home").mkdir()
    compiler(tmp_path / "no-cargo-home" / "bin", "1.90.0")
    assert toolchain.find_toolchain(crate).release == (1, 90, 0)


def test_a_workspace_names_the_version_too(tmp_path: Path) -> None:
    crate = write_crate(tmp_path / "workspace")
    (crate / "Cargo.toml").write_text('[workspace]\nmembers = []\n[workspace.package]\nrust-version = "1.88"\n')
    assert toolchain.minimum_version(crate) == (1, 88)


def test_no_crate(tmp_path: Path) -> None:
    with pytest.raises(ToolchainMissing, match=r"sources cannot be read.*Cargo\.toml"):
        toolchain.find_toolchain(tmp_path)


def test_no_linker() -> None:
    with pytest.raises(ToolchainMissing, match="linker") as caught:
        toolchain.find_linker()
    assert caught.value.hint


def test_no_standard_library(crate: Path, bare: Path) -> None:
    compiler(bare, "1.90.0")
    with pytest.raises(ToolchainMissing, match="no standard library for aarch64-unknown-linux-musl") as caught:
        toolchain.require_std(toolchain.find_toolchain(crate), "aarch64-unknown-linux-musl", crate)
    assert "rustup target add aarch64-unknown-linux-musl" in str(caught.value.hint)
