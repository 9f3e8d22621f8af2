"""What a virtual machine costs, beside raw QEMU on the same disk: `-incoming` of a saved guest until its sshd answers.

Both are measured in turn, in one run, with a cache folder of their own. Needs libvirtd, QEMU and OpenSSH's client; the
disk of debian-12 is built first if it has to be. python -m benchmarks.virtual_machines [ROUNDS]
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.snapshots import PLAN
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers import disks
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef, Site
from harness.models.disk import SHELL_PORT, DiskImage
from harness.models.endpoint import Serial
from harness.registry import driver

READY = 120.0
SCENARIO = """\
driver: {name: libvirt}
platforms: [{name: web1, image: debian-12}]
provisioner: {name: binary, plan: plan.json}
"""
PREPARE = "#!/bin/sh\nset -e\necho prepared >/etc/prepared\n"
TEST = "def test_it(host):\n    assert host.exists('sh') and host.file('/etc/prepared').exists\n"


def main(rounds: int) -> None:
    image = disks.disk_image("debian-12", Path("/"))
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        folder = Path(name)
        own = folder / "cache" / "store" / "disk" / image.path.parent.parent.name / image.path.parent.name
        shutil.copytree(image.path.parent, own)
        os.environ["HARNESS_CACHE_DIR"] = str(folder / "cache")
        found: dict[str, list[float]] = {}

        def note(what: str, seconds: float) -> None:
            found.setdefault(what, []).append(seconds)
            print(f"  {what}: {seconds:.2f} s", flush=True)

        raw = RawQemu(image, folder)
        note("raw QEMU, power-on until SSH answers", raw.save())
        with _site(folder, "boot") as site:
            note("power-on to first command", timed(lambda: _first(site, _spec("cold", snapshot=False))))
            note("the same, and its image kept as booted", timed(lambda: _first(site, _spec("warm"))))
        for _ in range(rounds):
            note("raw QEMU, -incoming until SSH answers", raw.restore())
            with _site(folder, "one") as site:
                note("restore to first command", timed(lambda: _first(site, _spec("one"))))
                note("revert to first command", _revert(site))
            with _site(folder, "four") as site:
                note("four restored at once, first command of all", timed(lambda: _four(site)))
        _print_disks(folder)
        _project(folder / "project")
        for verb in ("first `harness test`", "second `harness test`"):
            note(verb, timed(lambda: _harness(folder / "project")))
        _report(found)


class RawQemu:
    """The same kernel, disk, memory and processor, without libvirt; what it saves is a plain stream."""

    def __init__(self, image: DiskImage, folder: Path) -> None:
        self._image = image
        self._folder = folder
        self._base = folder / "raw.qcow2"
        self._key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)], check=True)

    def save(self) -> float:
        """Boot it, have it let the key in, save it; seconds until SSH answered."""
        _overlay(self._base, self._image.path)
        started = time.monotonic()
        with self._running(self._base) as (process, port):
            endpoint = Serial(sockets=tuple(str(self._folder / f"raw.{number}") for number in range(2)))
            with open_connection(endpoint, name="raw") as connection:
                public = self._key.with_suffix(".pub").read_text().strip()
                said(connection, f"mkdir -p -m 700 /root/.ssh && echo '{public}' >/root/.ssh/authorized_keys")
                self._wait_for_ssh(port, process)
                took = time.monotonic() - started
                said(connection, "systemctl is-system-running --wait || true")
            self._monitor("stop", f'migrate "file:{self._folder / "raw.memory"}"')
            while "completed" not in (heard := self._monitor("info migrate")):
                assert "failed" not in heard, heard
                time.sleep(0.05)
        return took

    def restore(self) -> float:
        disk = self._folder / "raw-clone.qcow2"
        _overlay(disk, self._base)
        started = time.monotonic()
        with self._running(disk, "-incoming", f"file:{self._folder / 'raw.memory'}") as (process, port):
            self._monitor("cont")
            self._wait_for_ssh(port, process)
            return time.monotonic() - started

    @contextmanager
    def _running(self, disk: Path, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        image, port = self._image, _free_port()
        ports = [f"virtserialport,chardev=shell{number},name={SHELL_PORT}{number}" for number in range(2)]
        sockets = [f"socket,id=shell{n},path={self._folder}/raw.{n},server=on,wait=off" for n in range(2)]
        command = [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "pc", "-accel", "tcg"),
            *("-cpu", "max", "-m", "512", "-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", str(image.cmdline), "-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe"),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-pci,netdev=net"),
            *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
            *(word for one in sockets for word in ("-chardev", one)),
            *(word for one in ports for word in ("-device", one)),
            *("-monitor", f"unix:{self._folder}/raw.monitor,server=on,wait=off", *more),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                self._monitor()  # its sockets are there from then on
                yield process, port
            finally:
                process.kill()

    def _monitor(self, *commands: str) -> str:
        until = time.monotonic() + READY
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as monitor:
                    monitor.settimeout(READY)
                    monitor.connect(f"{self._folder}/raw.monitor")
                    heard = b""
                    for command in ("", *commands):
                        monitor.sendall(command.encode() + b"\n" if command else b"")
                        while not heard.endswith(b"(qemu) "):
                            heard += monitor.recv(65536)
                        said_last, heard = heard, b""
                    return said_last.decode()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _wait_for_ssh(self, port: int, process: subprocess.Popen[bytes]) -> None:
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=10", "BatchMode=yes")
        words = [word for option in options for word in ("-o", option)]
        command = ["ssh", "-q", "-i", str(self._key), "-p", str(port), *words, "root@127.0.0.1", "true"]
        until = time.monotonic() + READY
        while subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            assert process.poll() is None, "QEMU has ended"
            assert time.monotonic() < until, "its sshd does not answer"
            time.sleep(0.02)


def _site(folder: Path, run: str) -> Site:
    (folder / "project").mkdir(exist_ok=True)
    ref = ScenarioRef(folder / "project", "bench", folder / "project")
    return driver("libvirt").open(ref, RunId(run), keep=False)


def _spec(name: str, *, snapshot: bool | None = None) -> PlatformSpec:
    options = driver("libvirt").platform_options.model_validate({"acceleration": "tcg"})
    return PlatformSpec(name, "libvirt", image="debian-12", options=options, snapshot=snapshot)


def _first(site: Site, *specs: PlatformSpec) -> None:
    for instance in site.create(specs, {}):
        with open_connection(site.wait_ready(instance, Deadline(READY)), name=instance.name) as connection:
            said(connection, "true")


def _four(site: Site) -> None:
    """As the lifecycle does it: created in one call, waited for side by side."""
    from concurrent.futures import ThreadPoolExecutor

    instances = site.create([_spec(f"clone{number}") for number in range(4)], {})
    with ThreadPoolExecutor() as pool:
        for connection in pool.map(
            lambda one: open_connection(site.wait_ready(one, Deadline(READY)), name=one.name), instances
        ):
            said(connection, "true")
            connection.close()


def _revert(site: Site) -> float:
    [instance] = site.create([_spec("reverted")], {})
    site.wait_ready(instance, Deadline(READY))
    snapshot = site.snapshot(instance, "bench")

    def revert() -> None:
        with open_connection(site.revert(instance, snapshot, Deadline(READY)), name="reverted") as connection:
            said(connection, "true")

    return timed(revert)


def said(connection: Connection, command: str) -> str:
    done = connection.run(command, timeout=READY)
    assert done.rc == 0, done.err
    return done.out


def timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _overlay(path: Path, backing: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(backing), str(path)], check=True
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _print_disks(folder: Path) -> None:
    with _site(folder, "size") as site:
        [instance] = site.create([_spec("size")], {})
        site.wait_ready(instance, Deadline(READY))
        disk = folder / "cache" / "libvirt" / "instances" / instance.record.id / "disk.qcow2"
        print(f"  disk of a clone at its start: {disk.stat().st_blocks * 512 / 1e6:.1f} MB")
    for memory in (folder / "cache" / "store" / "booted").glob("*/*/memory"):
        print(f"  memory of the booted image: {memory.stat().st_blocks * 512 / 1e6:.0f} MB")


def _project(project: Path) -> None:
    scenario = project / "molecule" / "default"
    (scenario / "tests").mkdir(parents=True)
    (scenario / "molecule.yml").write_text(SCENARIO)
    (scenario / "prepare.sh").write_text(PREPARE)
    (scenario / "plan.json").write_text(json.dumps(PLAN))
    (scenario / "tests" / "test_it.py").write_text(TEST)


def _harness(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "test"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _report(found: dict[str, list[float]]) -> None:
    middle = {what: median(seconds) for what, seconds in found.items()}
    for what, seconds in middle.items():
        print(f"{what:<48} {seconds:6.2f} s")
    raw = middle["raw QEMU, -incoming until SSH answers"]
    print(f"restore / raw QEMU: {middle['restore to first command'] / raw:.2f} (goal: at most 0.7)")
    tests = [middle[f"{which} `harness test`"] for which in ("first", "second")]
    print(f"first / second `harness test`: {tests[0] / tests[1]:.1f} (goal: at least 5)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
