"""One catalogue of images for every driver: root file systems built from this machine's own package sources.

No registry has to be reached. `debian:12` and `debian-12` are the same. In the cache folder, once for all projects:

    images/NAME-KEY/image.json      what it is, written last
    images/NAME-KEY/rootfs.tar
    images/NAME-KEY/tree-IDS        unpacked for one mapping of user ids, on demand
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.cache import cache_dir
from harness.errors import ImageFailed
from harness.models.serde import StrictModel

Tell = Callable[[str], None]
"""Takes one line about what is going on."""
Unpack = Callable[[Sequence[str]], Sequence[str]]
"""Wraps the command that unpacks an image, so that it runs under other user ids."""

_FORMAT = 1


@dataclass(frozen=True)
class ImageRecipe:
    """What an image is made of; its hash is the image's key."""

    name: str
    suite: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        text = "\n".join([str(_FORMAT), platform.machine(), self.name, self.suite, *sorted(self.packages)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        return cache_dir() / "images" / f"{self.name}-{self.key}"


# Enough for systemd as PID 1, testinfra, sshd and Ansible's modules (which need python3, not python3-minimal).
_BASE = ("ca-certificates", "dbus", "iproute2", "netbase", "openssh-server", "procps", "python3", "python3-apt", "sudo")
CATALOGUE = {recipe.name: recipe for recipe in (ImageRecipe("debian-12", "bookworm", (*_BASE, "systemd-sysv")),)}


class Image(StrictModel):
    """A built image. `digest`: sha256 of its tar. `size` in bytes; `created` in Unix seconds."""

    name: str
    key: str
    digest: str
    size: int
    created: float

    @property
    def folder(self) -> Path:
        return cache_dir() / "images" / f"{self.name}-{self.key}"

    @property
    def tar(self) -> Path:
        return self.folder / "rootfs.tar"

    @property
    def reference(self) -> str:
        """Its name where names of others exist beside it: never as someone else's."""
        return f"harness-local/{self.name}:{self.digest[:12]}"


def canonical(name: str) -> str:
    return name.replace(":", "-")


def recipe_of(name: str) -> ImageRecipe:
    """Raises ImageFailed for a name that is not in the catalogue."""
    found = CATALOGUE.get(canonical(name))
    if found is None:
        raise ImageFailed(f"there is no image {name!r}", hint=f"known here: {', '.join(CATALOGUE)}, or a folder")
    return found


def find(name: str) -> Image | None:
    """The built image of the present recipe, if there is one."""
    return _read(recipe_of(name).folder)


def _read(folder: Path) -> Image | None:
    try:
        image = Image.model_validate_json((folder / "image.json").read_text())
    except (OSError, ValidationError):
        return None
    return image if image.folder == folder and image.tar.exists() else None


def built() -> list[Image]:
    """All images in the cache, those of earlier recipes too."""
    folder = cache_dir() / "images"
    found = [_read(entry) for entry in sorted(folder.iterdir())] if folder.is_dir() else []
    return [image for image in found if image is not None]


def ensure(name: str, *, tell: Tell | None = None, force: bool = False) -> Image:
    """The image, built if need be; of several processes one builds and the others wait. Raises ImageFailed."""
    from filelock import FileLock

    recipe = recipe_of(name)
    image = find(name)
    if image is not None and not force:
        return image
    say = tell or to_stderr
    # For nobody else: the trees have setuid programs that no update will ever reach.
    recipe.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(f"{recipe.folder}.lock"):
        image = find(name)
        if image is None or force:
            say(f"building the image {recipe.name} from this machine's package sources (once, about a minute)")
            image = _build(recipe, say)
            say(f"built {image.reference}, {image.size / 1e6:.0f} MB")
    return image


def to_stderr(line: str) -> None:
    print(f"harness: {line}", file=sys.stderr, flush=True)


def missing_tools() -> list[str]:
    return [tool for tool in ("mmdebstrap", "tar") if shutil.which(tool) is None]


def _build(recipe: ImageRecipe, tell: Tell) -> Image:
    if missing_tools():
        raise ImageFailed(
            f"building {recipe.name} needs {' and '.join(missing_tools())}",
            hint="apt-get install mmdebstrap; or name a folder with an unpacked root file system as `image:`",
        )
    with tempfile.TemporaryDirectory(prefix=".build-", dir=recipe.folder.parent) as name:
        draft = Path(name) / "image"
        draft.mkdir()
        if sys.platform != "linux":
            raise ImageFailed(
                f"the image {recipe.name} can be built on Linux only",
                hint="name one of a registry (docker), or a disk by its URL",
            )
        from harness.drivers import mmdebstrap

        mmdebstrap.build(recipe.suite, recipe.packages, Path(name), draft / "rootfs.tar", tell)
        with (draft / "rootfs.tar").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = (draft / "rootfs.tar").stat().st_size
        image = Image(name=recipe.name, key=recipe.key, digest=digest, size=size, created=time.time())
        (draft / "image.json").write_text(image.model_dump_json(indent=1))
        if recipe.folder.exists():  # a rebuild, or what was interrupted before image.json was written
            if _in_use(recipe.folder):
                raise ImageFailed(f"{recipe.name} is in use", hint="destroy the platforms that lie on it first")
            recipe.folder.rename(Path(name) / "old")
        draft.rename(recipe.folder)
        _discard(Path(name) / "old")
    return image


def tree(image: Image, ids: str, unpack: Unpack, *, owner: int | None = None, tell: Tell | None = None) -> Path:
    """The image unpacked, for the mapping of user ids that `ids` names; `unpack` runs tar under that mapping, whose
    root is the user id `owner` (None: this user)."""
    from filelock import FileLock

    target = image.folder / f"tree-{ids}"
    if target.is_dir():
        return target
    with FileLock(f"{target}.lock"):
        if target.is_dir():
            return target
        (tell or to_stderr)(f"unpacking {image.reference}")
        draft = image.folder / f".tree-{ids}"
        _discard(draft)
        draft.mkdir()
        if owner is not None and sys.platform != "win32":
            os.chown(draft, owner, owner)
        # By stdin and working folder: another user could not pass the folders above.
        # Device nodes: every sandbox has its own /dev, and an ordinary user cannot make any.
        command = ["tar", "-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--exclude=./dev/*"]
        with image.tar.open("rb") as file:
            done = subprocess.run(
                unpack([*command, "-f", "-"]), stdin=file, cwd=draft, capture_output=True, check=False, text=True
            )
        if done.returncode != 0:
            _discard(draft)
            raise ImageFailed(f"unpacking {image.name}: {done.stderr.strip()[-500:]}")
        draft.rename(target)
    return target


def prune(*, everything: bool, in_use: Sequence[str] = ()) -> tuple[list[Image], list[Image]]:
    """Remove images of earlier recipes, or all; returns those removed and those that were left because a platform
    lies on them."""
    removed, left = [], []
    current = {recipe.folder for recipe in CATALOGUE.values()}
    for image in built():
        if image.folder in current and not everything:
            continue
        if _in_use(image.folder) or any(path.startswith(f"{image.folder}/") for path in in_use):
            left.append(image)
            continue
        doomed = image.folder.with_name(f".gone-{image.folder.name}-{os.getpid()}")
        image.folder.rename(doomed)
        _discard(doomed)
        removed.append(image)
    return removed, left


def _in_use(folder: Path) -> bool:
    """Whether a living sandbox, or a snapshot of one, lies on it."""
    if sys.platform != "linux":
        return False
    from harness.drivers.native import labels, store

    paths = [found.label.image for found in labels.find()] + store.images()
    return any(path.startswith(f"{folder}/") for path in paths)


def _discard(folder: Path) -> None:
    if not folder.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists() and sys.platform == "linux":
        from harness.drivers.native import remains

        remains.remove_tree(folder)
