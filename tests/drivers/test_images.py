"""The catalogue: both spellings, built once, pruned only when nobody needs it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness.drivers import images
from harness.drivers.images import Image
from harness.errors import ImageFailed


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    return tmp_path


def pretend(folder: Path, name: str, key: str) -> Image:
    """An image as a build leaves it."""
    image = Image(name=name, key=key, digest="d" * 64, size=3, created=1.0)
    image.folder.mkdir(parents=True)
    image.tar.write_bytes(b"tar")
    (image.folder / "image.json").write_text(image.model_dump_json())
    return image


def test_both_spellings(cache: Path) -> None:
    assert images.recipe_of("debian:12") == images.recipe_of("debian-12")
    with pytest.raises(ImageFailed, match="no image 'debian-99'") as caught:
        images.recipe_of("debian-99")
    assert "debian-12" in str(caught.value.hint)


def test_a_built_one_is_not_built_again(cache: Path) -> None:
    image = pretend(cache, "debian-12", images.recipe_of("debian-12").key)
    assert images.ensure("debian:12") == image
    assert image.reference == "harness-local/debian-12:dddddddddddd"


def test_an_unfinished_one_is_none(cache: Path) -> None:
    image = pretend(cache, "debian-12", images.recipe_of("debian-12").key)
    (image.folder / "image.json").write_text("{")
    assert images.find("debian-12") is None
    assert images.built() == []


def test_prune(cache: Path) -> None:
    """Earlier recipes go; the present one only with `everything`; nothing that is in use."""
    current = pretend(cache, "debian-12", images.recipe_of("debian-12").key)
    old, used = pretend(cache, "debian-12", "0" * 12), pretend(cache, "debian-12", "1" * 12)
    in_use = [f"{used.folder}/tree-host-ids"]
    removed, left = images.prune(everything=False, in_use=in_use)
    assert (removed, left) == ([old], [used])
    assert not old.folder.exists()
    assert images.prune(everything=True, in_use=in_use) == ([current], [used])
    assert [path.name for path in (cache / "images").iterdir()] == [used.folder.name]


def test_without_mmdebstrap(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageFailed, match="needs mmdebstrap") as caught:
        images.ensure("debian-12")
    assert "apt-get install mmdebstrap" in str(caught.value.hint)
    assert [path for path in (cache / "images").iterdir() if path.is_dir()] == []


@pytest.mark.root
@pytest.mark.parametrize(
    ("words", "cure"),
    [("no such mirror", "apt-get update"), ("unable to pick chroot mode automatically", "/etc/subuid")],
)
def test_a_build_that_fails_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, cure: str
) -> None:
    """Its own last words are in the error."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mmdebstrap").write_text(f"#!/bin/sh\necho 'E: {words}'\ntouch $TMPDIR/x\nexit 25\n")
    (tools / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(ImageFailed, match=f"ended with 25: E: {words}") as caught:
        images.ensure("debian-12", tell=lambda line: None)
    assert cure in str(caught.value.hint)
    assert [path.name for path in (cache / "images").iterdir() if path.is_dir()] == []


def test_unpacking_is_atomic(cache: Path, tmp_path: Path) -> None:
    image = pretend(cache, "debian-12", images.recipe_of("debian-12").key)
    with pytest.raises(ImageFailed, match="unpacking debian-12"):
        images.tree(image, "host-ids", list, tell=lambda line: None)
    assert not list(image.folder.glob("*tree-host-ids"))
    source = tmp_path / "source"
    (source / "etc").mkdir(parents=True)
    (source / "etc/file").write_text("x")
    shutil.make_archive(str(tmp_path / "made"), "tar", source)
    image.tar.write_bytes((tmp_path / "made.tar").read_bytes())
    tree = images.tree(image, "host-ids", list, tell=lambda line: None)
    assert (tree / "etc/file").read_text() == "x"
    assert images.tree(image, "host-ids", list) == tree
