"""The disk of a virtual machine, as an image gives it: what a driver needs to boot it and to reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.models.serde import StrictModel

DiskFormat = Literal["qcow2", "raw"]
Firmware = Literal["bios", "uefi"]


class DiskImage(StrictModel):
    """A base to lay overlays on: `path` is never written to. With a `kernel` it is booted directly, with `initrd` and
    `cmdline`; without, by its own boot loader through `firmware`."""

    name: str
    path: Path
    format: DiskFormat
    arch: str = "x86_64"
    """As `uname -m` says it: x86_64, aarch64."""
    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str | None = None
    """The kernel's, with `root=`; consoles are the driver's to add."""
    firmware: Firmware = "bios"
    digest: str
    """sha256 of the content of disk, kernel, initrd and cmdline: what snapshots made from it are addressed by."""
    serial_shell: bool = False
    """A root shell answers on every virtio-serial port whose name begins with SHELL_PORT."""
    seed: bool = False
    """It waits for a NoCloud seed, which gives it its name, keys and serial shell (harness/drivers/disks/seed.py), on a
    read-only virtio disk: the kernels of cloud images have no driver for a SATA CD-ROM."""
    user: str = "root"
    """Who logs in over SSH, once a key has been injected."""


SHELL_PORT = "org.harness.shell."
"""Port names are this and a number from 0."""
SHELL_PORTS = 8
"""So many does a driver give a guest: one per process that talks to it, one per command on a channel of its own, and
one for signals."""
