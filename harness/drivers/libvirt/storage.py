"""The files of an instance: its own layer over the image, and its empty disks."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from harness.drivers.disks.seed import Seed, write_seed
from harness.drivers.disks.shelf import keep
from harness.drivers.libvirt import hypervisor, login, machine
from harness.drivers.libvirt.machine import Wanted
from harness.drivers.libvirt.options import size_in_bytes
from harness.errors import DriverFailed


def make(wanted: Wanted) -> None:
    """Anew, over its snapshot or its image. Raises DriverFailed, ImageFailed, OSError, Unsupported."""
    keep(wanted.image, wanted.folder)
    if wanted.image.seed:
        _sow(wanted)
    if wanted.state is not None:
        _lay_over(wanted, wanted.state)
        return
    name, image, size = wanted.spec.name, wanted.image, wanted.options.disk_size
    wish = [str(size_in_bytes(size))] if size and size_in_bytes(size) > virtual_size(name, image.path) else []
    _overlay(name, wanted.disk, image.path, image.format, *wish)
    for number, disk in enumerate(wanted.options.disks, start=1):
        _run(name, "create", "-q", "-f", "qcow2", str(wanted.extra_disk(number)), str(size_in_bytes(disk.size)))


def _sow(wanted: Wanted) -> None:
    """What cloud-init in it is told: its name, who may log in, and which host key it shows."""
    keys = login.keys_of(wanted.label.id)
    seed = Seed(
        identifier=wanted.label.id,
        hostname=wanted.spec.name,
        user=wanted.image.user,
        authorized_keys=(keys.public(keys.identity),),
        host_key=(keys.host_key.read_text(), keys.public(keys.host_key)),
    )
    write_seed(wanted.seed, seed)


def _lay_over(wanted: Wanted, state: Path) -> None:
    _overlay(wanted.spec.name, wanted.disk, state / machine.DISK, "qcow2")
    for number, _ in enumerate(wanted.options.disks, start=1):
        _overlay(wanted.spec.name, wanted.extra_disk(number), state / machine.extra_disk(number), "qcow2")
    if (state / machine.VARIABLES).exists():
        shutil.copyfile(state / machine.VARIABLES, wanted.variables)


def _overlay(name: str, path: Path, backing: Path, form: str, *size: str) -> None:
    path.unlink(missing_ok=True)
    _run(name, "create", "-q", "-f", "qcow2", "-F", form, "-b", str(backing), str(path), *size)


def copy(wanted: Wanted, folder: Path) -> None:
    """The disks of a guest that stands still, to a folder; the first over its image alone, the others whole.

    Raises DriverFailed, OSError.
    """
    name, image, target = wanted.spec.name, wanted.image, folder / machine.DISK
    backing, form = (wanted.state / machine.DISK, "qcow2") if wanted.state else (image.path, image.format)
    # -B: its uppermost layer alone. -U: QEMU has it open, and does not write just now.
    below = ["-B", str(backing), "-F", form]
    _run(name, "convert", "-q", "-U", "-O", "qcow2", *below, str(wanted.disk), str(target))
    if wanted.state is not None:
        _run(name, "rebase", "-q", "-f", "qcow2", "-b", str(image.path), "-F", image.format, str(target))
    for number, _ in enumerate(wanted.options.disks, start=1):
        source, copied = wanted.extra_disk(number), folder / machine.extra_disk(number)
        _run(name, "convert", "-q", "-U", "-O", "qcow2", str(source), str(copied))
    if wanted.variables.exists():
        shutil.copyfile(wanted.variables, folder / machine.VARIABLES)


def virtual_size(name: str, path: Path) -> int:
    """Bytes that a guest sees of it. Raises DriverFailed for what is no disk image."""
    said = json.loads(_run(name, "info", "-U", "--output=json", str(path)))
    return int(said["virtual-size"])


def _run(name: str, *arguments: str) -> str:
    if shutil.which("qemu-img") is None:
        raise DriverFailed(f"{name}: there is no qemu-img", hint=hypervisor.SETUP)
    done = subprocess.run(["qemu-img", *arguments], capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise hypervisor.failure(name, done.stderr.strip().removeprefix("qemu-img: "))
    return done.stdout
