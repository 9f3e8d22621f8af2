"""A guest under plain QEMU, for what is below any driver: images and the serial connection."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.errors import ImageFailed, Unreachable
from harness.models.disk import SHELL_PORT, DiskImage
from harness.models.endpoint import Serial

BOOT_SECONDS = 300.0
"""Emulated, on a busy machine."""


class Guest:
    """`command` starts its QEMU; `endpoint` stays the same when that is started anew."""

    def __init__(self, folder: Path, command: Sequence[str | Path], endpoint: Serial) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self._command = command
        self.process = self._started()

    def restored(self, snapshot: str) -> None:
        """In another QEMU, as it was when `savevm` made the snapshot."""
        self.stop()
        self.process = self._started("-loadvm", snapshot)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def _started(self, *options: str) -> subprocess.Popen[bytes]:
        for path in self.endpoint.sockets:
            Path(path).unlink(missing_ok=True)
        process = subprocess.Popen([*self._command, *options])
        while not all(Path(path).exists() for path in self.endpoint.sockets):
            assert process.poll() is None
            time.sleep(0.02)
        return process

    def monitor(self, command: str) -> str:
        """What QEMU's human monitor says to it."""
        with socket.socket(socket.AF_UNIX) as opened:
            opened.settimeout(60)
            opened.connect(f"{self.folder}/monitor")
            heard = b""
            for line in ("", f"{command}\n"):
                opened.sendall(line.encode())
                while not heard.endswith(b"(qemu) "):
                    heard += opened.recv(65536)
                said, heard = heard, b""
        return said.decode()

    @property
    def console(self) -> str:
        return (self.folder / "console").read_text(errors="replace")


@contextlib.contextmanager
def guest(image: DiskImage, *, ports: int = 8, options: Sequence[str] = ()) -> Iterator[Guest]:
    """A guest whose disk is an overlay on the image; it is not waited for. A missing QEMU skips the test."""
    program = shutil.which(f"qemu-system-{image.arch}")
    if program is None:
        pytest.skip(f"no qemu-system-{image.arch} here")
    with tempfile.TemporaryDirectory(prefix="guest-") as name:  # a socket's path must be short
        folder = Path(name)
        disk = folder / "disk.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", image.path, "-F", image.format, disk], check=True
        )
        sockets = tuple(f"{folder}/shell.{number}" for number in range(ports))
        made = Guest(folder, [program, *_arguments(image, disk, sockets, folder), *options], Serial(sockets=sockets))
        try:
            yield made
        finally:
            made.stop()


def _arguments(image: DiskImage, disk: Path, sockets: Sequence[str], folder: Path) -> list[str]:
    words = "-nodefaults -display none -accel tcg -smp 1 -m 512 -device virtio-serial-pci -device virtio-rng-pci"
    machine = {"x86_64": "-machine q35 -cpu max", "aarch64": "-machine virt -cpu max"}[image.arch]
    arguments = [*words.split(), *machine.split(), "-serial", f"file:{folder}/console"]
    arguments += ["-monitor", f"unix:{folder}/monitor,server=on,wait=off"]
    arguments += ["-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe"]
    if image.kernel:
        console = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}[image.arch]
        arguments += ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
        arguments += ["-append", f"{image.cmdline} console={console}"]
    for number, path in enumerate(sockets):
        arguments += ["-chardev", f"socket,id=shell{number},path={path},server=on,wait=off"]
        arguments += ["-device", f"virtserialport,chardev=shell{number},name={SHELL_PORT}{number}"]
    return arguments


@contextlib.contextmanager
def debian_guest(options: Sequence[str] = ()) -> Iterator[Guest]:
    """Of the catalogue's debian-12, as soon as its shell answers; what this machine lacks for it skips the test."""
    from harness.drivers.disks import disk_image

    try:
        image = disk_image("debian-12", Path())
    except ImageFailed as error:
        pytest.skip(f"no debian-12 disk: {error.message}")
    with guest(image, options=options) as made:
        answered(made)
        yield made


def answered(made: Guest, seconds: float = BOOT_SECONDS) -> None:
    until = time.monotonic() + seconds
    with open_connection(made.endpoint, name="guest") as connection:
        while True:
            try:
                connection.run("true")
                return
            except Unreachable:
                assert made.process.poll() is None
                assert time.monotonic() < until, made.console[-2000:]
