"""QEMU by hand, without libvirt and without us: what guests of `benchmarks.virtual_machines` are measured beside."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.connections import open_connection
from harness.drivers.libvirt.machine import SLOW_FEATURES
from harness.models.disk import SHELL_PORT, DiskImage
from harness.models.endpoint import Serial

READY = 120.0


class RawQemu:
    """The same kernel, disk, memory and no more devices than it takes.

    `tuned`: with all that makes it fast here (memory as mapped-ram, a processor that is cheap to emulate, a handshake
    of curve25519 alone); else as one would start it, with `-cpu max`, its memory as a stream, and ssh as it comes.
    """

    def __init__(self, image: DiskImage, folder: Path, *, tuned: bool) -> None:
        folder.mkdir()
        self._image = image
        self._folder = folder
        self._tuned = tuned
        self._base = folder / "raw.qcow2"
        self._memory = f'"file:{folder / "memory"}"'
        self._key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)], check=True)

    def save(self) -> float:
        """Boot it, have it let the key in, save it; seconds until SSH answered."""
        _overlay(self._base, self._image.path)
        started = time.monotonic()
        with self._running(self._base) as (process, port):
            endpoint = Serial(sockets=tuple(str(self._folder / str(number)) for number in range(2)))
            with open_connection(endpoint, name="raw") as connection:
                public = self._key.with_suffix(".pub").read_text().strip()
                assert connection.run(
                    f"mkdir -p -m 700 /root/.ssh && echo '{public}' >/root/.ssh/authorized_keys", timeout=READY
                ).ok
                self._wait_for_ssh(port, process)
                took = time.monotonic() - started
                connection.run("systemctl is-system-running --wait", timeout=READY)
            # Not stopped before: it goes on by itself when it has been loaded only if it was saved while it ran.
            self._monitor(*self._way(), f"migrate {self._memory}")
            while "completed" not in (heard := self._monitor("info migrate")):
                assert "failed" not in heard, heard
                time.sleep(0.05)
        return took

    def restore(self) -> float:
        """Seconds from QEMU's start until SSH has answered."""
        disk = self._folder / "clone.qcow2"
        _overlay(disk, self._base)
        started = time.monotonic()
        with self._running(disk, "-incoming", "defer") as (process, port):
            self._monitor(*self._way(), f"migrate_incoming {self._memory}")
            # What is said to it before it runs, QEMU's network says again only six seconds later.
            while "running" not in self._monitor("info status"):
                time.sleep(0.005)
            self._wait_for_ssh(port, process)
            return time.monotonic() - started

    def _way(self) -> tuple[str, ...]:
        return ("migrate_set_capability mapped-ram on",) if self._tuned else ()

    @contextmanager
    def _running(self, disk: Path, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        image, port, folder = self._image, _free_port(), self._folder
        ports = [f"virtserialport,chardev=shell{number},name={SHELL_PORT}{number}" for number in range(2)]
        sockets = [f"socket,id=shell{n},path={folder}/{n},server=on,wait=off" for n in range(2)]
        slow = [f"{name}=off" for name in SLOW_FEATURES] if self._tuned else []
        command = [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "pc", "-accel", "tcg"),
            *("-cpu", ",".join(["max", *slow]), "-m", "512"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", f"{image.cmdline} no_timer_check"),
            *("-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe"),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-pci,netdev=net"),
            *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
            *(word for one in sockets for word in ("-chardev", one)),
            *(word for one in ports for word in ("-device", one)),
            *("-monitor", f"unix:{folder}/monitor,server=on,wait=off", *more),
        ]
        (folder / "monitor").unlink(missing_ok=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                self._monitor()  # its sockets are there from then on
                yield process, port
            finally:
                process.kill()

    def _monitor(self, *commands: str) -> str:
        """What it says to the last of them."""
        until = time.monotonic() + READY
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as monitor:
                    monitor.settimeout(READY)
                    monitor.connect(f"{self._folder}/monitor")
                    heard = b""
                    for command in ("", *commands):
                        monitor.sendall(command.encode() + b"\n" if command else b"")
                        heard = b""
                        while not heard.endswith(b"(qemu) "):
                            heard += monitor.recv(65536)
                    return heard.decode()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.005)

    def _wait_for_ssh(self, port: int, process: subprocess.Popen[bytes]) -> None:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=10", "BatchMode=yes"]
        if self._tuned:
            options.append("KexAlgorithms=curve25519-sha256")
        words = [word for option in options for word in ("-o", option)]
        command = ["ssh", "-q", "-i", str(self._key), "-p", str(port), *words, "root@127.0.0.1", "true"]
        until = time.monotonic() + READY
        while subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            assert process.poll() is None, "QEMU has ended"
            assert time.monotonic() < until, "its sshd does not answer"
            time.sleep(0.02)


def _overlay(path: Path, backing: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(backing), str(path)], check=True
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
