"""What a virtual machine costs, beside raw QEMU on the same disk (`-incoming` of a saved guest until its sshd answers),
and beside `vagrant up` and `vagrant snapshot restore`.

All are measured in turn, in one run, with a cache folder of their own. Needs libvirtd, QEMU and OpenSSH's client, and
Vagrant for its rows; the disk of debian-12 and its box are built first if they have to be.
python -m benchmarks.virtual_machines [ROUNDS]
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks import vagrant
from benchmarks.raw_qemu import RawQemu
from benchmarks.snapshots import PLAN
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers import disks
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef, Site
from harness.models.disk import DiskImage
from harness.registry import driver

READY = 120.0
COMMANDS = 1000
PUSHED = 10_000_000
RAW, TUNED = "raw QEMU as it comes", "raw QEMU, tuned"
SCENARIO = """\
driver: {name: libvirt}
platforms: [{name: web1, image: debian-12}]
provisioner: {name: binary, plan: plan.json}
"""
PREPARE = "#!/bin/sh\nset -e\necho prepared >/etc/prepared\n"
TEST = "def test_it(host):\n    assert host.exists('sh') and host.file('/etc/prepared').exists\n"


def main(rounds: int) -> None:
    image = disks.disk_image("debian-12", Path("/"))
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as made:
        folder = Path(made)
        _cache(folder / "cache", image)
        found: dict[str, list[float]] = {}

        def note(what: str, seconds: float) -> None:
            found.setdefault(what, []).append(seconds)
            print(f"  {what}: {seconds:.2f} s", flush=True)

        raws = {
            RAW: RawQemu(image, folder / "raw", tuned=False),
            TUNED: RawQemu(image, folder / "tuned", tuned=True),
        }
        for name, raw in raws.items():
            note(f"{name}: power-on until SSH answers", raw.save())
        with _site(folder, "boot") as site:
            note("power-on to first command", timed(lambda: _first(site, _spec("cold", snapshot=False))))
            note("the same, and its image kept as booted", timed(lambda: _first(site, _spec("warm"))))
        for _ in range(rounds):
            for name, raw in raws.items():
                note(f"{name}: -incoming until SSH answers", raw.restore())
            with _site(folder, "one") as site:
                note("restore to first command", timed(lambda: _first(site, _spec("one"))))
                note("revert to first command", _revert(site))
            with _site(folder, "four") as site:
                note("four restored at once, first command of all", timed(lambda: _four(site)))
        with _site(folder, "shell") as site:
            _serial_shell(site, note)
        _print_disks(folder)
        _project(folder / "project")
        _cache(folder / "empty", image)
        note("the very first `harness test`", timed(lambda: _harness(folder / "project")))
        _cache(folder / "with-stub", image)
        shutil.copytree(folder / "empty" / "store" / "stub", folder / "with-stub" / "store" / "stub")
        for which in ("first", "second", "third"):
            note(f"{which} `harness test`, the stub built before", timed(lambda: _harness(folder / "project")))
        if shutil.which("vagrant"):
            for what, seconds in vagrant.timings(rounds).items():
                for one in seconds:
                    note(f"vagrant: {what}", one)
        _report(found)


def _cache(folder: Path, image: DiskImage) -> None:
    """From now on, with nothing in it but this disk."""
    entry = image.path.parent
    shutil.copytree(entry, folder / "store" / "disk" / entry.parent.name / entry.name)
    os.environ["HARNESS_CACHE_DIR"] = str(folder)


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


def _serial_shell(site: Site, note: Callable[[str, float], None]) -> None:
    """Fails where one command's answer is another's."""
    [instance] = site.create([_spec("shell")], {})
    with open_connection(site.wait_ready(instance, Deadline(READY)), name="shell") as connection:

        def commands() -> None:
            for number in range(COMMANDS):
                done = connection.run(f"echo {number}; echo -{number} >&2; exit {number % 256}", timeout=READY)
                assert (done.out, done.err, done.rc) == (f"{number}\n", f"-{number}\n", number % 256), number

        note(f"{COMMANDS:,} commands through the serial shell", timed(commands))
        data = os.urandom(PUSHED)
        note("push of 10 MB", timed(lambda: connection.push(data, "/root/pushed")))
        assert said(connection, "sha256sum </root/pushed").split()[0] == hashlib.sha256(data).hexdigest()


def said(connection: Connection, command: str) -> str:
    done = connection.run(command, timeout=READY)
    assert done.rc == 0, done.err
    return done.out


def timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


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
    for what, seconds in found.items():
        print(f"{what:<48} {middle[what]:6.2f} s ({min(seconds):.2f} - {max(seconds):.2f})")
    for name in (RAW, TUNED):
        raw = middle[f"{name}: -incoming until SSH answers"]
        print(f"restore / {name}: {middle['restore to first command'] / raw:.2f} (goal: at most 0.7)")
    second = middle["second `harness test`, the stub built before"]
    for first in ("the very first `harness test`", "first `harness test`, the stub built before"):
        print(f"{first} / the second: {middle[first] / second:.1f} (goal: at least 5)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
