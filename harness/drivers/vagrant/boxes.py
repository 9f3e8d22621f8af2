"""Boxes made of our own disks, for libvirt: what `vagrant box add` takes, and any Vagrantfile may use.

A box is a disk with a boot loader on it, so that it stands for itself: libvirtd's own user could not read a kernel in
a home folder (docs/decisions/0037-a-box-with-a-boot-loader.md). A user `vagrant` is in it, with a key of this cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import data_dir
from harness.drivers import images
from harness.drivers.disks import disk_image
from harness.drivers.images import Tell
from harness.drivers.sshd import Keys
from harness.drivers.vagrant.options import VagrantOptions
from harness.drivers.vagrant.projects import home
from harness.errors import ImageFailed
from harness.models.disk import DiskImage

_FORMAT = 1
_GRUB = Path("/usr/lib/grub/i386-pc")
_TOOLS = {"qemu-img": "qemu-utils", "debugfs": "e2fsprogs", "grub-mkimage": "grub-common", "vagrant": "vagrant"}
_MODULES = ("biosdisk", "part_msdos", "ext2", "linux")
_SECTOR = 512
_FIRST = 2048
"""The partition's first sector: the boot loader lies before it, as on any PC's disk."""
_SLASH = "-VAGRANTSLASH-"
_USER = "vagrant"
_ID = 1000


@dataclass(frozen=True)
class Box:
    """As a Vagrantfile names it. `kvm`: whether its kernel runs on this machine's KVM."""

    name: str
    version: str
    kvm: bool

    @property
    def folder(self) -> Path:
        return home() / "boxes" / self.escaped / self.version / "libvirt"

    @property
    def escaped(self) -> str:
        """Its name as Vagrant and vagrant-libvirt write it in names of files."""
        return self.name.replace("/", _SLASH)

    @staticmethod
    def unescaped(name: str) -> str:
        return name.replace(_SLASH, "/")

    @property
    def copies(self) -> str:
        """What the names of its copies in libvirt's pool begin with."""
        return f"{self.escaped}_vagrant_box_image_{self.version}_"

    def adapted(self, options: VagrantOptions) -> VagrantOptions:
        """Molecule has Vagrant replace the key of every box; this one's is nobody else's."""
        settings = {"ssh.insert_key": False, **options.config_options}
        return options.model_copy(update={"config_options": settings})


def check(image: str) -> None:
    """Raises ImageFailed for what no box can be made of."""
    images.recipe_of(image)
    if platform.machine() != "x86_64":
        raise ImageFailed("boxes are built on x86_64 only", hint="`box:` names one that can be fetched")
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None]
    if not (_GRUB / "boot.img").exists():
        missing.append("grub-pc-bin")
    if missing:
        raise ImageFailed(
            f"building a box of {image} needs {', '.join(missing)}", hint=f"apt-get install {' '.join(missing)}"
        )


def of(disk: DiskImage, keys: Keys, *, kvm: bool) -> Box:
    """The box that is, or would be, made of a disk."""
    return Box(f"harness/{disk.name}", _version(disk, keys), kvm)


def ensure(image: str, directory: Path, tell: Tell) -> Box:
    """The box of an image, built and added to our VAGRANT_HOME if need be. Raises ImageFailed."""
    from filelock import FileLock

    disk = disk_image(image, directory, tell=tell)
    keys = Keys.at(home() / "box-keys")
    box = of(disk, keys, kvm=runs_on_kvm(disk))
    if box.folder.is_dir():
        return box
    home().mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(f"{home()}.lock"):
        if not box.folder.is_dir():
            tell(f"building the Vagrant box {box.name} {box.version} (once)")
            with tempfile.TemporaryDirectory(prefix="box-", dir=home().parent) as scratch:
                _add(box, _built(disk, keys, Path(scratch)), tell)
    return box


def runs_on_kvm(disk: DiskImage) -> bool:
    """Proven by a boot: /dev/kvm may be there and not run this kernel."""
    from harness.drivers.libvirt import acceleration

    emulator = shutil.which(f"qemu-system-{disk.arch}") or ""
    return acceleration.choose("auto", disk.arch, emulator, disk.kernel).kind == "kvm"


def _version(disk: DiskImage, keys: Keys) -> str:
    """Another one for whatever else it is made of; RubyGems wants numbers."""
    hashed = hashlib.sha256(f"{_FORMAT}\0{disk.digest}\0{keys.public(keys.identity)}".encode())
    for file in ("Vagrantfile", "grub.cfg"):
        hashed.update((data_dir("vagrant") / file).read_bytes())
    return f"1.0.{int(hashed.hexdigest()[:12], 16)}"


def _built(disk: DiskImage, keys: Keys, scratch: Path) -> Path:
    """A .box file: a tar of metadata.json, Vagrantfile, box.img and the private key."""
    raw = scratch / "box.raw"
    size = _lay_out(disk, raw)
    _fill(disk, keys, raw, scratch)
    _make_bootable(disk, raw, scratch)
    content = scratch / "box"
    content.mkdir()
    _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(content / "box.img")])
    raw.unlink()
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": -(-size // (1 << 30))}
    (content / "metadata.json").write_text(json.dumps(metadata))
    shutil.copy(data_dir("vagrant") / "Vagrantfile", content / "Vagrantfile")
    shutil.copy(keys.identity, content / "vagrant_private_key")
    packed = scratch / "box.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(content, arcname=".")
    shutil.rmtree(content)
    return packed


def _lay_out(disk: DiskImage, raw: Path) -> int:
    """The disk's file system as the first partition of `raw`; returns its size in bytes."""
    size = int(json.loads(_run(["qemu-img", "info", "--output=json", str(disk.path)]))["virtual-size"])
    offset = _FIRST * _SECTOR
    with raw.open("wb") as file:
        file.truncate(offset + size)
    target = f"driver=raw,offset={offset},size={size},file.filename={raw}"
    _run(["qemu-img", "convert", "-n", "-f", disk.format, str(disk.path), "--target-image-opts", target])
    return offset + size


def _fill(disk: DiskImage, keys: Keys, raw: Path, scratch: Path) -> None:
    """Kernel, user and key, without a mount: so nobody has to be root."""
    assert disk.kernel is not None and disk.initrd is not None
    shutil.copy(disk.kernel, scratch / "vmlinuz")
    shutil.copy(disk.initrd, scratch / "initrd")
    (scratch / "authorized_keys").write_text(keys.public(keys.identity) + "\n")
    (scratch / "sudoers").write_text(f"{_USER} ALL=(ALL) NOPASSWD: ALL\n")
    entries = {
        "passwd": f"{_USER}:x:{_ID}:{_ID}::/home/{_USER}:/bin/bash",
        "group": f"{_USER}:x:{_ID}:",
        "shadow": f"{_USER}:*:19000:0:99999:7:::",
    }
    for name, line in entries.items():
        before = _debugfs(raw, f"cat /etc/{name}", scratch)
        (scratch / name).write_text(before.rstrip("\n") + f"\n{line}\n")
    commands = [
        *_written("/boot", "vmlinuz", "vmlinuz"),
        *_written("/boot", "initrd", "initrd"),
        *(word for name in ("passwd", "group") for word in ("cd /etc", f"rm {name}", *_written("/etc", name, name))),
        *("cd /etc", "rm shadow", *_written("/etc", "shadow", "shadow", mode=0o640, group=42)),
        *_written("/etc/sudoers.d", "sudoers", _USER, mode=0o440),
        *_made("/home", _USER, 0o755),
        *_made(f"/home/{_USER}", ".ssh", 0o700),
        *_written(f"/home/{_USER}/.ssh", "authorized_keys", "authorized_keys", mode=0o600, owner=_ID, group=_ID),
    ]
    (scratch / "commands").write_text("\n".join(commands) + "\n")
    _debugfs(raw, None, scratch)


def _written(folder: str, source: str, name: str, *, mode: int = 0o644, owner: int = 0, group: int = 0) -> list[str]:
    return [f"cd {folder}", f"write {source} {name}", *_owned(name, 0o100000 | mode, owner, group)]


def _made(folder: str, name: str, mode: int) -> list[str]:
    return [f"cd {folder}", f"mkdir {name}", *_owned(name, 0o040000 | mode, _ID, _ID)]


def _owned(name: str, mode: int, owner: int, group: int) -> list[str]:
    return [f"sif {name} mode 0{mode:o}", f"sif {name} uid {owner}", f"sif {name} gid {group}"]


def _debugfs(raw: Path, request: str | None, scratch: Path) -> str:
    """One request, read only; or the file `commands`. It ends with 0 whatever happened, and complains on stderr."""
    how = ["-R", request] if request is not None else ["-w", "-f", "commands"]
    done = subprocess.run(
        ["debugfs", *how, f"{raw}?offset={_FIRST * _SECTOR}"],
        cwd=scratch,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("debugfs 1.")]
    if done.returncode != 0 or complaints:
        raise ImageFailed(f"building a box: debugfs: {'; '.join(complaints) or done.returncode}")
    return done.stdout


def _make_bootable(disk: DiskImage, raw: Path, scratch: Path) -> None:
    """GRUB's first stage finds the second in the sector behind it, and that one finds the first partition."""
    config = (data_dir("vagrant") / "grub.cfg").read_text()
    cmdline = (disk.cmdline or "").replace("root=/dev/vda", "root=/dev/vda1")
    (scratch / "early.cfg").write_text(config.format(cmdline=f"{cmdline} console=ttyS0 quiet"))
    where = ["-O", "i386-pc", "-d", str(_GRUB), "-p", "(hd0,msdos1)/boot/grub"]
    files = ["-c", str(scratch / "early.cfg"), "-o", str(scratch / "core.img")]
    _run(["grub-mkimage", *where, *files, *_MODULES])
    core = (scratch / "core.img").read_bytes()
    if len(core) > (_FIRST - 1) * _SECTOR:
        raise ImageFailed("building a box: its boot loader is too big for its place")
    partition = struct.pack(
        "<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", _FIRST, raw.stat().st_size // _SECTOR - _FIRST
    )
    with raw.open("r+b") as file:
        file.write((_GRUB / "boot.img").read_bytes()[:440])
        file.seek(446)
        file.write(partition + bytes(48) + b"\x55\xaa")
        file.write(core)


def _add(box: Box, packed: Path, tell: Tell) -> None:
    """By Vagrant itself, which then has it as any other."""
    catalogue = {
        "name": box.name,
        "versions": [{"version": box.version, "providers": [{"name": "libvirt", "url": packed.as_uri()}]}],
    }
    listing = packed.with_name("catalogue.json")
    listing.write_text(json.dumps(catalogue))
    tell(f"adding the box {box.name} {box.version} to {home()}")
    _run(
        ["vagrant", "box", "add", "--no-tty", str(listing)],
        {"VAGRANT_HOME": str(home()), "VAGRANT_CWD": str(packed.parent)},
    )


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env={**_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise ImageFailed(f"building a box: {command[0]} ended with {done.returncode}: {words}")
    return done.stdout


def _environment() -> dict[str, str]:
    found = {**os.environ, "VAGRANT_CHECKPOINT_DISABLE": "1"}
    found["PATH"] = f"{found.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return found
