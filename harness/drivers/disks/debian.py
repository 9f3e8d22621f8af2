"""Disks of the catalogue: a root file system by mmdebstrap, and the kernel in it booted directly.

No boot loader, no partitions and no download: only what Debian's package sources give.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.compile.store import Entry, Store
from harness.data import data_dir
from harness.drivers import mmdebstrap
from harness.drivers.disks import MADE
from harness.drivers.disks.seed import SHELL_FILES
from harness.drivers.images import ImageRecipe, Tell
from harness.drivers.native import identity
from harness.errors import ImageFailed
from harness.models.disk import DiskImage

TOOLS = ("mmdebstrap", "tar", "mkfs.ext4", "qemu-img")
DEBIAN_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
SIZE = "10G"
"""Of the disk as the guest sees it; on this machine it takes what is written to it."""
CMDLINE = "root=/dev/vda rw quiet"
_FORMAT = 1


@dataclass(frozen=True)
class Recipe:
    """`folder` is one of disks/; `arch` as `uname -m` says it."""

    name: str
    suite: str
    folder: Path
    arch: str

    @property
    def packages(self) -> list[str]:
        lines = (self.folder / "packages").read_text().splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return [name.format(debian_arch=DEBIAN_ARCH[self.arch]) for name in names]

    @property
    def key(self) -> str:
        """sha256 of everything that it is made of here; not of the packages' versions."""
        parts = [_FORMAT, self.name, self.suite, self.arch, SIZE, CMDLINE, sorted(self.packages)]
        hashed = hashlib.sha256(repr(parts).encode())
        hashed.update(self.overlay())
        hashed.update((self.folder / "finish").read_bytes())
        return hashed.hexdigest()

    def overlay(self) -> bytes:
        """A tar of the files that are laid over the packages', the same bytes for the same files."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for place, content in sorted(self._files()):
                member = tarfile.TarInfo(f"./{place}")
                member.size = len(content)
                member.mode = 0o755 if content.startswith(b"#!") else 0o644
                archive.addfile(member, io.BytesIO(content))
        return stream.getvalue()

    def _files(self) -> Iterator[tuple[str, bytes]]:
        root = self.folder / "root"
        for path in root.rglob("*"):
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()
        for name, place in SHELL_FILES.items():
            yield place, (data_dir("disks") / "serial-shell" / name).read_bytes()


def recipe(image: ImageRecipe, arch: str) -> Recipe:
    """Raises ImageFailed where there is none for that architecture."""
    folder = data_dir("disks") / image.name
    if arch not in DEBIAN_ARCH or not folder.is_dir():
        raise ImageFailed(
            f"there is no recipe for a disk of {image.name} for {arch}",
            hint=f"architectures: {', '.join(DEBIAN_ARCH)}",
        )
    return Recipe(image.name, image.suite, folder, arch)


def missing_tools() -> list[str]:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return [tool for tool in TOOLS if shutil.which(tool, path=path) is None]


def ensure(recipe: Recipe, tell: Tell) -> DiskImage:
    """The disk, built if need be; of several processes one builds and the others wait. Raises ImageFailed."""
    entry, _ = Store().obtain(MADE, recipe.key, lambda folder: _build(recipe, folder, tell))
    return described(entry)


def described(entry: Entry) -> DiskImage:
    hashed = hashlib.sha256()
    for name, file in sorted(entry.files.items()):
        hashed.update(f"{name} {file.sha256}\n".encode())
    hashed.update(entry.info["cmdline"].encode())
    return DiskImage(
        name=entry.info["name"],
        path=entry.path / "disk.qcow2",
        format="qcow2",
        arch=entry.info["arch"],
        kernel=entry.path / "vmlinuz",
        initrd=entry.path / "initrd",
        cmdline=entry.info["cmdline"],
        digest=hashed.hexdigest(),
        serial_shell=True,
    )


def _build(recipe: Recipe, folder: Path, tell: Tell) -> dict[str, str]:
    if missing_tools():
        raise ImageFailed(
            f"building a disk of {recipe.name} needs {' and '.join(missing_tools())}",
            hint="apt-get install mmdebstrap tar e2fsprogs qemu-utils",
        )
    tell(f"building a disk of {recipe.name} for {recipe.arch} from this machine's package sources (once, some minutes)")
    scratch = folder / "scratch"
    scratch.mkdir()
    tar = scratch / "root.tar"
    # The kernel's package would make an initrd that nobody uses (/etc/kernel/postinst.d/initramfs-tools).
    env = {"INITRD": "No"}
    mmdebstrap.build(recipe.suite, recipe.packages, scratch, tar, tell, options=_options(recipe, scratch), env=env)
    _take_kernel(tar, folder)
    tell("making the file system")
    _make_disk(tar, folder / "disk.qcow2", scratch)
    shutil.rmtree(scratch)
    return {"name": recipe.name, "arch": recipe.arch, "cmdline": CMDLINE}


def _options(recipe: Recipe, scratch: Path) -> list[str]:
    overlay = scratch / "overlay.tar"
    overlay.write_bytes(recipe.overlay())
    finish = recipe.folder / "finish"
    return [
        f"--architectures={DEBIAN_ARCH[recipe.arch]}",
        # Before the packages: the kernel's own scripts shall find it.
        f"--essential-hook=tar-in {overlay} /",
        f'--customize-hook=chroot "$1" /bin/sh -s <{finish}',
    ]


def _take_kernel(tar: Path, folder: Path) -> None:
    targets = {"./boot/harness-kernel": "vmlinuz", "./boot/harness-initrd": "initrd"}
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.name in targets and (file := archive.extractfile(member)):
                with (folder / targets.pop(member.name)).open("wb") as stream:
                    shutil.copyfileobj(file, stream, 1 << 20)
    if targets:
        raise ImageFailed(
            f"the root file system lacks {' and '.join(targets)}", hint="its recipe's `finish` makes them"
        )


_MAKE = """
set -e
PATH=$PATH:/usr/sbin:/sbin
mkdir root
tar -x -p --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' --exclude='./boot/*' -f "$1" -C root
# Everything is written now: the guest's kernel would do it in the background, into each clone's overlay.
mkfs.ext4 -q -F -L root -m 1 -E lazy_itable_init=0,lazy_journal_init=0 -d root disk.raw "$2"
rm -rf root
"""


def _make_disk(tar: Path, disk: Path, scratch: Path) -> None:
    """As root, or under this user's own mapping of user ids."""
    command = ["sh", "-c", _MAKE, "sh", str(tar), SIZE]
    if os.geteuid() != 0:
        command = identity.mapped_command(identity.for_this_user(), command)
    _run(command, scratch)
    _run(["qemu-img", "convert", "-O", "qcow2", str(scratch / "disk.raw"), str(disk)], scratch)


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise ImageFailed(f"making a disk: {command[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
