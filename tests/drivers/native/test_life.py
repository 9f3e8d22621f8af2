"""Sandboxes begin, are found again, and end without a trace, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.deadline import Deadline, poll
from harness.drivers.native import NativeDriver, labels, remains
from harness.errors import DriverFailed, InstanceGone
from harness.models.endpoint import Sandbox
from tests.drivers.native.conftest import World, output, run

pytestmark = [pytest.mark.root, pytest.mark.sandbox]

CREATOR = """
import json, sys
from pathlib import Path
from tests.drivers.native.conftest import World
world = World(Path(sys.argv[1]))
site = world.open(keep=sys.argv[2] == "keep")
options = json.loads(sys.argv[3])
instance, endpoint = world.make(site, world.spec(**options))
print(json.dumps([instance.record.id, endpoint.pid]), flush=True)
sys.stdin.read()
"""


class Traces:
    """What a sandbox could leave: mounts, processes, control groups, files. Other tests' are none of ours."""

    def __init__(self) -> None:
        self.before = self.now()

    @staticmethod
    def now() -> dict[str, list[str]]:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return {
            "mounts": [line for line in mounts if str(labels.home()) in line],
            "processes": [f"{one.label.id} {one.supervisor.pid}" for one in labels.find()],
            "files": sorted(str(path) for path in labels.home().glob("*")),
        }

    def none_left(self, *processes: int, cgroups: Sequence[str] = ()) -> None:
        """Within a moment: the kernel clears a killed process id name space away by itself."""

        def gone(last: bool) -> bool | None:
            alive = [pid for pid in processes if Path(f"/proc/{pid}").exists() and not _zombie(pid)]
            groups = [path for path in cgroups if Path(path).exists()]
            same = self.now() == self.before and not groups
            if last:
                assert not alive
                assert not groups
                assert self.now() == self.before
            return True if same and not alive else None

        poll(gone, Deadline(20))


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def traces(root_world: World) -> Traces:
    return Traces()


def creator(world: World, *, keep: bool, **options: object) -> tuple[subprocess.Popen[str], str, int]:
    process = subprocess.Popen(
        [sys.executable, "-c", CREATOR, str(world.project), "keep" if keep else "", json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    identifier, pid = json.loads(process.stdout.readline())
    return process, identifier, pid


@pytest.fixture
def creators() -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.mark.parametrize("upper", ["memory", "disk"])
def test_destroy_leaves_nothing(root_world: World, traces: Traces, upper: str) -> None:
    with root_world.open() as site:
        instance, endpoint = root_world.make(site, root_world.spec(upper=upper))
        output(endpoint, "touch /etc/new /root/new; sleep 500 >/dev/null 2>&1 & exit 0")
        site.destroy(instance)
        traces.none_left(endpoint.pid)
        site.destroy(instance)
        with pytest.raises(InstanceGone):
            site.wait_ready(instance, Deadline(1))
    root_world.driver.reap(instance.record)


@pytest.mark.image
@pytest.mark.systemd
def test_destroy_of_systemd_leaves_no_control_group(root_world: World, traces: Traces, debian: str) -> None:
    with root_world.open() as site:
        instance, endpoint = root_world.make(site, root_world.spec(image=debian, init="systemd"))
        assert endpoint.cgroups
        assert all(instance.record.id in path for path in endpoint.cgroups)
        assert all(Path(path).exists() for path in endpoint.cgroups)
        site.destroy(instance)
        traces.none_left(endpoint.pid, cgroups=endpoint.cgroups)


def test_leaving_the_site_ends_what_is_not_kept(root_world: World, traces: Traces) -> None:
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec())
    traces.none_left(endpoint.pid)


def test_the_creator_is_killed(root_world: World, traces: Traces, creators: list[subprocess.Popen[str]]) -> None:
    process, _, pid = creator(root_world, keep=False)
    creators.append(process)
    process.kill()
    traces.none_left(pid)


def test_a_kept_one_outlives_its_creator(
    root_world: World, traces: Traces, creators: list[subprocess.Popen[str]]
) -> None:
    process, identifier, pid = creator(root_world, keep=True)
    creators.append(process)
    process.kill()
    process.wait()
    time.sleep(0.1)
    (record,) = root_world.driver.instances()
    assert (record.id, record.kept, record.status) == (identifier, True, "running")
    with root_world.open(keep=True) as site:
        instance = site.adopt(root_world.spec(), record)
        endpoint = site.wait_ready(instance, Deadline(10))
        assert isinstance(endpoint, Sandbox)
        assert endpoint.pid == pid
        assert output(endpoint, "hostname") == "node1"
        site.destroy(instance)
        with pytest.raises(InstanceGone):
            site.adopt(root_world.spec(), record)
    traces.none_left(pid)


@pytest.mark.parametrize("upper", ["memory", "disk"])
def test_the_supervisor_is_killed(root_world: World, traces: Traces, upper: str) -> None:
    """The sandbox ends with it; what lies on disk is found and reaped."""
    with root_world.open(keep=True) as site:
        instance, endpoint = root_world.make(site, root_world.spec(upper=upper))
        (found,) = labels.find()
        assert labels.send(found.supervisor, signal.SIGKILL)
        assert labels.wait_gone(labels.Living(endpoint.pid, endpoint.start_time), 20)
        (record,) = root_world.driver.instances()
        assert (record.id, record.status) == (instance.record.id, "dead")
        root_world.driver.reap(record)
        root_world.driver.reap(record)
    traces.none_left(endpoint.pid)


@pytest.mark.image
@pytest.mark.systemd
def test_the_supervisor_of_systemd_is_killed(root_world: World, traces: Traces, debian: str) -> None:
    with root_world.open(keep=True) as site:
        instance, endpoint = root_world.make(site, root_world.spec(image=debian, init="systemd"))
        (found,) = labels.find()
        assert labels.send(found.supervisor, signal.SIGKILL)
        assert labels.wait_gone(labels.Living(endpoint.pid, endpoint.start_time), 20)
        root_world.driver.reap(instance.record)
    traces.none_left(endpoint.pid, cgroups=endpoint.cgroups)


def test_found_without_any_file(root_world: World, traces: Traces) -> None:
    """`instances` reads the real system; `destroy` needs no file of ours."""
    with root_world.open(keep=True) as site:
        instance, endpoint = root_world.make(site, root_world.spec())
        (remains.folder_of(instance.record.id) / "label.json").unlink()
        (record,) = NativeDriver().instances()
        assert (record.platform, record.scenario, record.project) == ("node1", "default", root_world.project)
        NativeDriver().reap(record)
    traces.none_left(endpoint.pid)


def test_nothing_is_left_of_a_creation_that_fails(root_world: World, traces: Traces) -> None:
    """One of three cannot be made: the others go."""
    specs = [root_world.spec("a"), root_world.spec("b", shares=["/no/such/place"]), root_world.spec("c")]
    with root_world.open() as site, pytest.raises(DriverFailed, match=r"b: .*/no/such/place"):
        site.create(specs, {})
    traces.none_left()


def test_pid_1_ends(root_world: World, traces: Traces) -> None:
    """From outside: the instance is stopped, not gone, and starts again with its files."""
    with root_world.open() as site:
        instance, endpoint = root_world.make(site, root_world.spec())
        output(endpoint, "echo kept > /etc/kept")
        os.kill(endpoint.pid, signal.SIGKILL)
        assert labels.wait_gone(labels.Living(endpoint.pid, endpoint.start_time), 20)
        poll(lambda last: True if root_world.driver.instances()[0].status == "stopped" else None, Deadline(10))
        assert root_world.driver.instances()[0].status == "stopped"
        with pytest.raises(DriverFailed, match="PID 1 has ended"):
            site.wait_ready(instance, Deadline(1))
        site.start(instance)
        again = site.wait_ready(instance, Deadline(10))
        assert isinstance(again, Sandbox)
        assert output(again, "cat /etc/kept") == "kept"
        done = run(endpoint, "true")
        assert (done.returncode, done.stderr) == (
            125,
            f"harness-enter: the sandbox (process {endpoint.pid}) has gone\n",
        )
    traces.none_left(endpoint.pid, again.pid)


def test_reboot_keeps_files_and_ends_processes(root_world: World) -> None:
    with root_world.open() as site:
        instance, before = root_world.make(site, root_world.spec())
        output(before, "echo mine >> /etc/hosts; touch /run/gone /tmp/kept; sleep 432 >/dev/null 2>&1 & exit 0")
        after = site.reboot(instance, Deadline(20))
        assert isinstance(after, Sandbox)
        assert after != before
        assert output(after, "tail -1 /etc/hosts; ls /tmp; ls /run/gone || true") == "mine\nkept"
        assert run(after, "ps ax | grep -q '[s]leep 432'").returncode != 0


def test_freeze(root_world: World) -> None:
    with root_world.open() as site:
        instance, endpoint = root_world.make(site, root_world.spec())
        count = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.01; done"
        output(endpoint, f"({count}) >/dev/null 2>&1 & until [ -s /tmp/count ]; do sleep 0.01; done")
        assert isinstance(endpoint, Sandbox)
        seen = Path(f"/proc/{endpoint.pid}/root/tmp/count")  # from outside: inside nobody would answer
        site.freeze(instance)
        first = seen.read_text().strip()
        time.sleep(0.3)
        assert seen.read_text().strip() == first
        site.thaw(instance)
        poll(lambda last: True if output(endpoint, "cat /tmp/count") != first else None, Deadline(10))
        assert output(endpoint, "cat /tmp/count") != first


@pytest.mark.image
@pytest.mark.systemd
def test_systemd_boots(root_world: World, debian: str) -> None:
    """As PID 1, with services that have a /tmp of their own, and again after a reboot."""
    with root_world.open() as site:
        instance, endpoint = root_world.make(site, root_world.spec(image=debian, init="systemd"))
        assert output(endpoint, "systemctl is-system-running") == "running"
        assert output(endpoint, "cat /proc/1/comm; systemctl is-active ssh") == "systemd\nactive"
        private = "touch /tmp/seen; systemd-run --quiet --wait --pipe -p PrivateTmp=yes ls /tmp"
        assert output(endpoint, private) == ""
        again = site.reboot(instance, Deadline(60))
        assert isinstance(again, Sandbox)
        assert output(again, "systemctl is-active ssh") == "active"
