"""What `pip install` brings: one package, with the shipped folders in it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness import registry
from harness.cancellation import Cancellation
from harness.compile import host_target
from harness.compile.reference import ReferenceCompiler
from harness.compile.source import source_digest, source_files
from harness.compile.store import Store, locked

PROJECT = Path(__file__).parents[2]


def build(kind: str, folder: Path, **env: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder],
        cwd=PROJECT,
        env={**os.environ, **env},
        check=True,
        capture_output=True,
    )
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (PROJECT / "hatch_build.py").exists():
        pytest.skip("not in a checkout")
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_one_package_and_its_data(wheel: Path, tmp_path: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"harness"}
    shipped = tmp_path / "harness" / "_data"
    assert (shipped / "runner" / "honours.json").is_file()
    assert (shipped / "runner" / "engine" / "mutants" / "mod.rs").is_file()  # `harness selftest` builds it
    for folder in ("fixtures", "verify", "molecule"):
        for file in (PROJECT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"harness/_data/{file.relative_to(PROJECT).as_posix()}" in names
    assert not any("/target/" in name or "__pycache__" in name or "/stub/stub" in name for name in names)


def test_the_shipped_sources_are_those_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    shipped = tmp_path / "harness" / "_data" / "runner"
    assert len(list(source_files(shipped))) > 5
    assert source_digest(shipped) == source_digest(PROJECT / "runner")


def test_an_installed_wheel_finds_its_data(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = "from harness.data import data_dir; print(data_dir('runner')); print(data_dir('molecule'))"
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert told == [str(tmp_path / "site" / "harness" / "_data" / name) for name in ("runner", "molecule")]


@pytest.mark.cargo
@pytest.mark.sandbox
@pytest.mark.skipif(sys.platform != "linux", reason="runs the native driver")
def test_a_wheel_with_the_stub_needs_no_rust(tmp_path: Path) -> None:
    """pip install in a new environment, then the two commands of the README in an empty folder."""
    reason = [*ReferenceCompiler().diagnose(host_target()), *registry.driver("native").diagnose()]
    if reason:
        pytest.skip("; ".join(map(str, reason)))
    cargo = Store().root / "cargo"
    cargo.mkdir(parents=True, exist_ok=True)
    with locked(cargo.with_suffix(".lock"), Cancellation()):
        wheel = build("wheel", tmp_path / "dist", HARNESS_BUILD_STUB="1", CARGO_TARGET_DIR=str(cargo))
    assert "-py3-none-manylinux" in wheel.name

    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run(pip, check=True)
    # What the wheel depends on comes from this environment, after what was installed there.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    folder = tmp_path / "empty"
    folder.mkdir()
    env = {
        "PATH": f"{venv / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(tmp_path / "home"),
        "HARNESS_CACHE_DIR": str(tmp_path / "cache"),
        "CARGO_HOME": str(tmp_path / "no-cargo"),
        "CARGO": "/nonexistent",
        "RUSTUP_HOME": str(tmp_path / "no-rustup"),
    }
    for command in (["init", "scenario", "web"], ["test", "-s", "web"]):
        result = subprocess.run(
            [venv / "bin" / "harness", *command], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    assert not list((tmp_path / "cache" / "store").glob("stub/*/*"))


def test_the_sdist_holds_all_that_a_wheel_is_made_of(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (
        "hatch_build.py",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "runner/Cargo.toml",
        "tests/conftest.py",
    ):
        assert needed in names
    assert not any(name.startswith((".venv/", ".harness/", "runner/target/")) for name in names)
