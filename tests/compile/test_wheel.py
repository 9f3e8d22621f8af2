"""What `pip install` brings: one package, with the shipped folders in it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.compile.source import source_digest, source_files

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
    script = "from harness.data import data_dir; print(data_dir('runner')); print(data_dir('fixtures'))"
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert told == [str(tmp_path / "site" / "harness" / "_data" / name) for name in ("runner", "fixtures")]


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
