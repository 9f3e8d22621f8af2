"""Guests that go on from snapshots: each its own, several at once, again and again, whatever was killed meanwhile."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline, poll
from harness.drivers.base import Driver, Instance, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.libvirt import memory
from harness.registry import driver
from tests.waiting import left_running

pytestmark = pytest.mark.libvirt

ROOT = Path(__file__).parents[2]
READY = 120.0
AT_LENGTH = bool(os.environ.get("HARNESS_SOAK"))
ROUNDS = 50 if AT_LENGTH else 3
KILLS = int(os.environ.get("HARNESS_KILLS", "20")) if AT_LENGTH else 2
KEY = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With a cache folder of its own, which begins with this user's disk of debian-12."""
    problems = driver("libvirt").diagnose()
    if problems:
        pytest.skip("; ".join(str(problem) for problem in problems))
    from harness.drivers import disks

    image = disks.disk_image("debian-12", ROOT)
    folder = tmp_path_factory.mktemp("vm")
    own = folder / "cache" / "store" / "disk" / image.path.parent.parent.name / image.path.parent.name
    shutil.copytree(image.path.parent, own, copy_function=os.link)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(folder / "cache"))
        yield folder


def opened(project: Path, run: str, *, keep: bool = False) -> Site:
    return libvirt().open(ScenarioRef(project, "snapshots", project), RunId(run), keep=keep)


def libvirt() -> Driver:
    return driver("libvirt")


def spec(name: str, **options: Any) -> PlatformSpec:
    return PlatformSpec(name, "libvirt", image="debian-12", options=libvirt().platform_options.model_validate(options))


def connect(site: Site, instance: Instance) -> Connection:
    return open_connection(site.wait_ready(instance, Deadline(READY)), name=instance.name)


def said(connection: Connection, command: str) -> str:
    done = connection.run(command, timeout=READY)
    assert done.rc == 0, done.err
    return done.out.strip()


BOOT = "cat /proc/sys/kernel/random/boot_id"
HOST_KEY = "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub"


def test_clones_are_made_at_once_and_each_is_itself(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = ("one", "two", "three", "four")
    with opened(project, "clones") as site:
        instances = site.create([spec(name) for name in names], {})
        assert capfd.readouterr().err.count("booting debian-12 once") == 1
        for instance in instances:
            disk = project / "cache" / "libvirt" / "instances" / instance.record.id / "disk.qcow2"
            assert disk.stat().st_blocks * 512 < 20e6
        connections = {instance.name: connect(site, instance) for instance in instances}
        assert {name: said(one, "hostname") for name, one in connections.items()} == {name: name for name in names}
        assert len({said(one, BOOT) for one in connections.values()}) == 1, "none of them has booted by itself"
        for question in ("cat /etc/machine-id", "head -c 32 /dev/urandom | od -An -tx8"):
            assert len({said(one, question) for one in connections.values()}) == len(names), question
        poll(
            lambda _: len({said(one, HOST_KEY) for one in connections.values()}) == len(names) or None,
            Deadline(READY),
        )
        assert len({said(one, HOST_KEY) for one in connections.values()}) == len(names)
        for one in connections.values():
            assert said(one, "ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | cut -d' ' -f3")
            one.close()


def test_a_guest_goes_back_again_and_again(project: Path) -> None:
    with opened(project, "rounds") as site:
        [instance] = site.create([spec("one")], {})
        with connect(site, instance) as connection:
            process = said(connection, left_running("sleep 98765") + "echo $!")
            said(connection, "echo kept >/dev/shm/memory; echo kept >/root/file")
            boot = said(connection, BOOT)
            said(connection, "date -s @86400")
        snapshot = site.snapshot(instance, "again")
        assert snapshot.missing == ()
        for round_ in range(ROUNDS):
            with connect(site, instance) as connection:
                said(connection, f"kill {process}; rm -r /usr/share/doc")
                said(connection, f"echo {round_} | tee /root/file >/dev/shm/memory")
            endpoint = site.revert(instance, snapshot, Deadline(READY))
            with open_connection(endpoint, name="one") as connection:
                assert said(connection, "cat /root/file /dev/shm/memory") == "kept\nkept"
                assert said(connection, f"cat /proc/{process}/comm") == "sleep"
                assert said(connection, BOOT) == boot
                assert said(connection, "ls /usr/share/doc | head -1")
                assert abs(time.time() - float(said(connection, "date +%s"))) < 60, "the snapshot's clock is of 1970"
        site.delete_snapshot(snapshot)


def test_what_does_not_fit_is_not_used(project: Path) -> None:
    with opened(project, "fits") as site:
        digests = {
            site.origin(spec("one", **options)).digest
            for options in ({}, {"memory": 513}, {"cpus": 2}, {"cpu_model": "qemu64"}, {"disks": [{"size": "1g"}]})
        }
        assert len(digests) == 5
        assert site.origin(spec("two", network="private")).digest in digests
        [instance] = site.create([spec("one")], {})
        site.wait_ready(instance, Deadline(READY))
        snapshot = site.snapshot(instance, KEY)
        assert site.find_snapshot("one", KEY) == snapshot
        file = project / "cache" / "libvirt" / "snapshots" / KEY / "current" / "memory"
        os.truncate(file, file.stat().st_size - 4096)
        assert site.find_snapshot("one", KEY) is None, "it has been damaged"
        site.delete_snapshot(snapshot)


def test_without_memory_it_boots_from_the_disk(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(project, "disk") as site:
        one = spec("one", disks=[{"size": "64m"}])
        [instance] = site.create([one], {})
        with connect(site, instance) as connection:
            boot = said(connection, BOOT)
            said(connection, "echo kept >/root/file; printf raw >/dev/vdb")
        with monkeypatch.context() as patch:
            patch.setattr(memory, "OLDEST_QEMU", 99_000_000)
            snapshot = site.snapshot(instance, "disk")
        assert "memory" in snapshot.missing
        with connect(site, instance) as connection:
            assert said(connection, BOOT) == boot, "it goes on as if nothing had been"
            said(connection, "echo other >/root/file; printf xxx >/dev/vdb; sync")
        capfd.readouterr()
        endpoint = site.revert(instance, snapshot, Deadline(READY))
        assert "one: it boots from the snapshot's disk, without its memory: QEMU" in capfd.readouterr().err
        with open_connection(endpoint, name="one") as connection:
            assert said(connection, "cat /root/file; head -c3 /dev/vdb") == "kept\nraw"
            assert said(connection, BOOT) != boot


def test_killed_while_it_publishes(project: Path) -> None:
    """Whoever looks then finds the old one or the new one, and the guest can go back to it."""
    with opened(project, "kept", keep=True) as site:
        [instance] = site.create([spec("one")], {})
        with connect(site, instance) as connection:
            said(connection, "echo 0 >/root/number")
        site.snapshot(instance, "named")
    try:
        for _ in range(KILLS):
            with subprocess.Popen(
                [sys.executable, "-m", "tests.drivers.test_libvirt_snapshots", str(project), instance.record.id],
                cwd=ROOT,
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdout
                number = json.loads(process.stdout.readline())
                time.sleep(random.uniform(0, 2))
                process.send_signal(signal.SIGKILL)
            with opened(project, "kept", keep=True) as site:
                found = site.find_snapshot("one", "named")
                assert found is not None
                with open_connection(site.revert(instance, found, Deadline(READY)), name="one") as connection:
                    assert int(said(connection, "cat /root/number")) in (number, number + 1)
    finally:
        with opened(project, "kept", keep=True) as site:
            site.destroy(instance)
            for snapshot in site.snapshots():
                site.delete_snapshot(snapshot)


def publish(project: str, identifier: str) -> None:
    """Count up in the guest, and save it under the same name as before."""
    [record] = [one for one in libvirt().instances() if one.id == identifier]
    with opened(Path(project), "kept", keep=True) as site:
        instance = site.adopt(spec("one"), record)
        with connect(site, instance) as connection:
            number = int(said(connection, "cat /root/number"))
            said(connection, f"echo {number + 1} >/root/number")
        print(json.dumps(number), flush=True)
        site.snapshot(instance, "named")
        time.sleep(60)


if __name__ == "__main__":
    publish(*sys.argv[1:])
