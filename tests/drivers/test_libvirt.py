"""The libvirt driver on real guests: what the conformance suite does not ask. One guest serves most of it."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import Driver, Instance, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.libvirt import hypervisor, labels, warm
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.errors import DriverFailed, NotReady
from harness.faults import clock
from harness.faults.target import Target
from harness.models.endpoint import Ssh
from harness.models.fault import Fault
from harness.registry import driver
from tests.drivers.kills import nothing_is_left_after_kills
from tests.drivers.subjects import SUBJECTS
from tests.waiting import wait_for

pytestmark = pytest.mark.libvirt

HARNESS = [sys.executable, "-m", "harness"]
KILLS = int(os.environ.get("HARNESS_KILLS") or (20 if os.environ.get("HARNESS_SOAK") else 2))
READY = 120.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if problems := libvirt().diagnose():
        pytest.skip("; ".join(map(str, problems)))
    folder = tmp_path_factory.mktemp("machines")
    SUBJECTS["libvirt"].share(folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[Site]:
    with libvirt().open(ScenarioRef(project, "machines", project), RunId("run"), keep=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def guest(site: Site) -> Instance:
    [made] = site.create([spec("one", connection="ssh")], {})
    return made


@pytest.fixture
def host(project: Path) -> Iterator[Hypervisor]:
    reached = hypervisor.connect(hypervisor.default_uri())
    yield reached
    reached.close()


def libvirt() -> Driver:
    return driver("libvirt")


def spec(name: str, image: str = "debian-12", **options: Any) -> PlatformSpec:
    return PlatformSpec(name, "libvirt", image=image, options=libvirt().platform_options.model_validate(options))


def test_ssh_comes_by_a_port_of_this_machine(site: Site, guest: Instance) -> None:
    endpoint = site.wait_ready(guest, Deadline(READY))
    assert isinstance(endpoint, Ssh)
    assert endpoint.host == "127.0.0.1"
    assert site.wait_ready(guest, Deadline(READY)) == endpoint, "a second look opens no second way"
    with open_connection(endpoint, name="one") as connection:
        assert connection.run("hostname", timeout=60).out == "one\n"
        assert "SSH_CONNECTION" in connection.run("env", timeout=60).out


def test_a_network_cut_off_cuts_ssh_and_not_the_back_door(site: Site, guest: Instance) -> None:
    endpoint = site.wait_ready(guest, Deadline(READY))
    site.partition(guest, cut=True)
    try:
        with open_connection(site.back_door(guest), name="one") as connection:
            assert connection.run("cat /sys/class/net/e*/carrier", timeout=60).out == "0\n"
    finally:
        site.partition(guest, cut=False)
    with open_connection(endpoint, name="one") as connection:
        assert connection.run("true", timeout=60).ok


def test_console_and_screen(site: Site, guest: Instance) -> None:
    with open_connection(site.back_door(guest), name="one") as connection:
        connection.run("echo said-on-the-console >/dev/console", timeout=60)
    wait_for(lambda: "said-on-the-console" in site.console(guest))
    assert site.screenshot(guest).startswith(b"\x89PNG")


def test_its_clock_is_set_under_our_feet(site: Site, guest: Instance, tmp_path: Path) -> None:
    """What is at work meanwhile does not mind: no deadline of ours is kept by its clock, in either direction."""
    site.wait_ready(guest, Deadline(READY))
    endpoint = site.back_door(guest)
    target = Target("one", site, guest, endpoint, None, lambda other: None, lambda: tmp_path)

    def ahead(connection: Connection) -> float:
        return float(connection.run("date +%s.%N", timeout=60).out) - time.time()

    with open_connection(endpoint, name="one") as connection, ThreadPoolExecutor() as pool:
        usual = ahead(connection)
        connection.push(b"before", "/root/before")
        for offset in (86400.0, -86400.0):
            begun = pool.submit(connection.run, "cat /root/before; sleep 2; date +%s", timeout=3600)
            undo = clock.skew(target, Fault("clock-skew", offset_seconds=offset))
            done = begun.result()
            assert done.out.startswith("before") and done.duration < 3600
            assert ahead(connection) - usual == pytest.approx(offset, abs=600)
            connection.push(b"within", "/root/within")
            assert connection.read("/root/within") == b"within"
            undo()
            assert ahead(connection) == pytest.approx(usual, abs=600)
        mtime = float(connection.run("stat -c %Y /root/before", timeout=60).out)
        assert mtime == pytest.approx(time.time(), abs=600)


def test_what_stands_still_says_so(site: Site, guest: Instance) -> None:
    site.freeze(guest)
    try:
        with pytest.raises(NotReady, match="one: it is frozen"):
            site.wait_ready(guest, Deadline(1))
    finally:
        site.thaw(guest)


def test_strangers_are_left_alone(site: Site, guest: Instance, host: Hypervisor) -> None:
    """A copy of our domain under another name, and one that is named as ours are and is not."""
    from xml.etree import ElementTree

    ours = ElementTree.fromstring(host.connection.lookupByName(guest.record.id).XMLDesc(0))
    strangers = []
    alike = guest.record.id.removesuffix("one") + "two"
    for name, keep_label in ((f"{guest.record.id}-copy", True), (alike, False)):
        copied = copy.deepcopy(ours)
        for tag in ("uuid", "seclabel", *([] if keep_label else ["metadata"])):
            for found in copied.findall(tag):
                copied.remove(found)
        for interface in copied.findall("devices/interface"):
            copied.find("devices").remove(interface)  # type: ignore[union-attr]
        copied.find("name").text = name  # type: ignore[union-attr]
        strangers.append(host.connection.defineXML(ElementTree.tostring(copied, encoding="unicode")))
    try:
        assert [record.id for record in libvirt().instances()] == [guest.record.id]
        with pytest.raises(DriverFailed, match="two: its name is taken by a domain that is not of the harness"):
            site.create([spec("two")], {})
        names = {domain.name() for domain in host.connection.listAllDomains()}
        assert {domain.name() for domain in strangers} <= names
    finally:
        for domain in strangers:
            domain.undefine()


def test_one_daemon_by_two_names_is_one(site: Site, guest: Instance) -> None:
    there = hypervisor.default_uri()
    hypervisor.remember(there.replace("qemu:", "qemu+unix:", 1))
    hypervisor.remember(there)
    assert len(hypervisor.known()) == 2
    assert [record.id for record in libvirt().instances()] == [guest.record.id]


def test_stop_is_a_shutdown(site: Site, guest: Instance) -> None:
    """And not a loss of power: it has heard its button. It is the last that uses this guest."""
    site.wait_ready(guest, Deadline(READY))
    site.stop(guest)
    assert "reboot: Power down" in site.console(guest)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (spec("big", memory=1 << 24), r"big: the host has \d+ MiB of memory"),
        (spec("far", uri="qemu+unix:///system?socket=/no/such/socket"), "no libvirtd answers at qemu"),
        (spec("blank", image="./no-such.qcow2"), "no-such.qcow2"),
        (spec("firm", firmware="uefi"), "firm: debian-12 is booted directly, without a firmware"),
        (PlatformSpec("bare", "libvirt"), "bare: a virtual machine needs an `image`"),
        (PlatformSpec("pane", "libvirt", image="debian-12", os="windows"), "pane: guests of windows are not made"),
    ],
    ids=lambda value: value.name if isinstance(value, PlatformSpec) else "",
)
def test_what_cannot_be_made_is_told_before_anything_is(project: Path, wanted: PlatformSpec, words: str) -> None:
    ref = ScenarioRef(project, "refused", project)
    with libvirt().open(ref, RunId("refused"), keep=False) as site, pytest.raises(DriverFailed, match=words):
        site.create([wanted], {})
    assert [record for record in libvirt().instances() if record.scenario == "refused"] == []


def test_a_disk_that_cannot_be_booted_is_not_waited_for_in_silence(project: Path) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", project / "blank.qcow2", "64M"], check=True)
    ref = ScenarioRef(project, "blank", project)
    with libvirt().open(ref, RunId("blank"), keep=False) as site:
        [instance] = site.create([spec("blank", image="./blank.qcow2#seed=no", memory=64)], {})
        with pytest.raises(NotReady, match=r"blank: .*console"):
            site.wait_ready(instance, Deadline(0.4))
        assert site.screenshot(instance).startswith(b"\x89PNG")


def test_a_first_boot_that_never_ends_has_a_clock_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", project / "empty.qcow2", "64M"], check=True)
    monkeypatch.setattr(warm, "patience", lambda _label, _run: 0.5)
    ref = ScenarioRef(project, "empty", project)
    with libvirt().open(ref, RunId("empty"), keep=False) as site:
        site.clock = Deadline(300)
        with pytest.raises(NotReady, match=r"(?s)the first boot of empty.qcow2: empty: nothing answers.*console"):
            site.create([spec("empty", image="./empty.qcow2", memory=64)], {})
        assert site.clock.seconds >= 300.5, "what is made once for this machine is not the run's to pay"
    assert [record for record in libvirt().instances() if record.scenario == "empty"] == []


def test_without_kvm_a_guest_has_no_more_time_than_its_run(project: Path) -> None:
    """Else the run ends first, and nobody tells what its console said."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", project / "mute.qcow2", "64M"], check=True)
    with libvirt().open(ScenarioRef(project, "mute", project), RunId("mute"), keep=False) as site:
        mute = spec("mute", image="./mute.qcow2#seed=no&serial=yes", memory=64, acceleration="tcg")
        [instance] = site.create([replace(mute, snapshot=False)], {})
        site.clock = Deadline(1)
        with pytest.raises(NotReady, match=r"mute: .*after [1-6] s"):
            site.wait_ready(instance, site.clock)


@pytest.mark.slow
def test_nothing_is_left_after_kills_at_random_moments(
    project: Path, host: Hypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_left_after_kills(
        "libvirt", tmp_path, monkeypatch, kills=KILLS, moments=(0.5, 12), remains=lambda folder: remains(host, folder)
    )


def remains(host: Hypervisor, project: Path) -> list[str]:
    """Domains, networks, files, sockets and QEMU processes of that project."""
    things = [*host.connection.listAllDomains(), *host.connection.listAllNetworks()]
    of_libvirt = [thing.name() for thing in things if str(project) in thing.XMLDesc(0)]
    files = [str(path) for path in labels.home().glob("*")]
    mine = labels.sockets_of("any")
    sockets = [str(path) for path in mine.parent.glob(f"{mine.name.partition('-')[0]}-*")]
    running = [str(one.info["cmdline"]) for one in psutil.process_iter(["cmdline"])]
    qemu = [line for line in running if "qemu-system" in line and str(project / "cache") in line]
    return [*of_libvirt, *files, *sockets, *qemu]
