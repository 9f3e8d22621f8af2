"""Root inside tries to reach the host. Everything is tried for real; nothing of it may have an effect outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.deadline import Deadline
from harness.models.endpoint import Sandbox
from harness.sandbox.command import enter_command
from tests.drivers.native.attempts import ATTEMPTS, NUMBERS
from tests.drivers.native.conftest import World, ask, output, run

pytestmark = [pytest.mark.root, pytest.mark.sandbox]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the host's root, outside everything that is always hidden: a home, a credential, a socket, a FIFO."""
    folder = Path(tempfile.mkdtemp(prefix="harness-test-", dir="/var/lib"))
    (folder / "home/.ssh").mkdir(parents=True)
    (folder / "home/.ssh/id_ed25519").write_text("secret")
    (folder / "credentials.json").write_text("secret")
    os.mkfifo(folder / "fifo")
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "credentials.json"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def given(secrets: Path) -> Iterator[dict[str, Any]]:
    """What the attempts aim at."""
    abstract = f"harness-test-{os.getpid()}"
    canary = subprocess.Popen(["sleep", "600"])
    reader = os.open(secrets / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with (
        socket.socket(socket.AF_UNIX) as one,
        socket.socket(socket.AF_UNIX) as two,
        socket.create_server(("127.0.0.1", 0)) as three,
    ):
        one.bind("\0" + abstract)
        one.listen()
        two.bind(str(secrets / "socket"))
        two.listen()
        disk = Path("/").stat().st_dev
        machine = ("x86_64", "aarch64").index(os.uname().machine)
        yield {
            "disk": [os.major(disk), os.minor(disk)],
            "canary": canary.pid,
            "abstract": abstract,
            "socket": str(secrets / "socket"),
            "fifo": str(secrets / "fifo"),
            "port": three.getsockname()[1],
            "home": str(secrets / "home"),
            "credentials": str(secrets / "credentials.json"),
            "marker": str(secrets / "credentials.json"),
            "systemd": False,
            **{name: numbers[machine] for name, numbers in NUMBERS.items()},
        }
        assert canary.poll() is None, "a process of the host was killed"
    os.close(reader)
    canary.kill()
    canary.wait()


def state_of_the_host() -> dict[str, str]:
    """What the attempts are about, as the host has it."""
    found = {
        name: Path(f"/proc/sys/{name}").read_text()
        for name in ("kernel/core_pattern", "kernel/hostname", "vm/swappiness", "kernel/modprobe")
        if Path(f"/proc/sys/{name}").exists()
    }
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found["mounts"] = "\n".join(line for line in mounts if "docker" not in line)  # others may be at work
    found["modules"] = Path("/proc/modules").read_text() if Path("/proc/modules").exists() else ""
    found["clock"] = str(round((time.time() - time.monotonic()) / 60))
    for command in (["ip", "link"], ["iptables-save"], ["nft", "list", "ruleset"]):
        if shutil.which(command[0]):
            lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            # Comments have the time in them, brackets and counters the traffic; Docker may be at work.
            text = re.sub(r"#.*|\[\d+:\d+\]|packets \d+ bytes \d+", "", lines)
            others = re.compile(r"docker|veth|br-|link/ether|172\.", re.IGNORECASE)
            found[command[0]] = "\n".join(line for line in text.splitlines() if not others.search(line))
    return found


def check(endpoint: Sandbox, given: dict[str, Any]) -> None:
    before = state_of_the_host()
    results = ask(endpoint, ATTEMPTS, json.dumps(given))
    assert len(results) > 50
    assert not {name for name, result in results.items() if result == "ALLOWED"}, results
    # What must fail by being refused, not because the aim was missed: the node is there, the file too.
    for name in ("read_disk_by_a_node_in_/tmp", "read_memory_by_a_node_in_/dev", "mount_anything", "user_name_space"):
        assert results[name].startswith("refused"), results[name]
    assert state_of_the_host() == before


def test_a_view_of_the_host(root_world: World, given: dict[str, Any]) -> None:
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec())
        check(endpoint, given)


@pytest.mark.image
def test_an_image(root_world: World, given: dict[str, Any], debian: str) -> None:
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(image=debian))
        check(endpoint, given)


@pytest.mark.image
@pytest.mark.systemd
def test_under_systemd(root_world: World, given: dict[str, Any], debian: str) -> None:
    """Commands have Docker's capabilities there, too. What systemd starts has CAP_SYS_ADMIN, over a user name
    space of its own: it may mount, and still reaches nothing of the host."""
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec(image=debian, init="systemd"))
        # Mount name spaces and keyrings are its own there: the filter leaves them to the capabilities.
        results = ask(endpoint, ATTEMPTS, json.dumps({**given, "systemd": True}))
        allowed = {name for name, result in results.items() if result == "ALLOWED"}
        assert allowed <= {"user_name_space", "keyring", "executable_of_pid_1", "descriptors_of_pid_1"}, results
        before = state_of_the_host()
        attempt = (
            "mount -o remount,rw /proc/sys || umount /proc/sys; umount /proc/sys; "
            "for file in kernel/core_pattern vm/swappiness; do cat /proc/sys/$file > /proc/sys/$file; done; "
            f"mknod /root/disk b {given['disk'][0]} {given['disk'][1]} && head -c 16 /root/disk; "
            "mkdir -p /root/c && mount -t cgroup -o none,name=x,release_agent=/x x /root/c; "
            "date -s @0; insmod /x.ko; reboot -f; echo tried"
        )
        done = run(endpoint, f"systemd-run --quiet --wait --pipe sh -c '{attempt}' 2>&1")
        assert "tried" in done.stdout, done.stdout
        assert done.stdout.count("Permission denied") + done.stdout.count("ermitted") >= 4, done.stdout
        assert state_of_the_host() == before
        assert output(endpoint, "systemctl is-system-running") in ("running", "degraded")


def test_kill_everyone(root_world: World, given: dict[str, Any]) -> None:
    """`kill -9 -1` inside ends what is inside, and leaves PID 1 and the host alone: `given` watches a process."""
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec())
        output(endpoint, "sleep 500 >/dev/null 2>&1 & exit 0")
        run(endpoint, "kill -9 -1")
        run(endpoint, "kill -9 1; kill 1")
        assert output(endpoint, "ps -eo comm= | grep -c sleep || true") == "0"
        assert output(endpoint, "cat /proc/1/comm") == "harness-init"


def test_changes_stay_inside(root_world: World) -> None:
    """Owners, modes and content of the host's files, and devices that everybody uses."""
    passwd, null = Path("/etc/passwd").read_bytes(), Path("/dev/null").stat()
    with root_world.open() as site:
        _, endpoint = root_world.make(site, root_world.spec())
        output(
            endpoint,
            "echo x > /etc/passwd; chmod 600 /usr/bin/env; chown 7:7 /etc/hostname; rm -rf /opt /usr/share/doc; "
            "touch /usr/harness-was-here /harness-was-here; chmod 600 /dev/null; chown 7:7 /dev/null /dev/tty",
        )
        assert output(endpoint, "cat /etc/passwd; stat -c %a /usr/bin/env") == "x\n600"
    assert Path("/etc/passwd").read_bytes() == passwd
    now = Path("/dev/null").stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (null.st_mode, null.st_uid, null.st_gid)
    assert not Path("/usr/harness-was-here").exists()
    assert not Path("/harness-was-here").exists()
    assert Path("/opt").is_dir()


def test_what_runs_inside_cannot_pretend_to_be_a_sandbox(root_world: World) -> None:
    """A process inside with the same mark in its command line is not listed, and so never killed for it."""
    with root_world.open() as site:
        instance, endpoint = root_world.make(site, root_world.spec())
        label = json.dumps({"id": "h-forged"})
        script = f"HARNESS_SANDBOX='{label}' exec -a harness-sandbox sleep 500 harness-sandbox"
        output(endpoint, f'bash -c "{script.replace(chr(34), chr(92) + chr(34))}" >/dev/null 2>&1 & exit 0')
        assert [record.id for record in root_world.driver.instances()] == [instance.record.id]


def test_two_platforms_see_nothing_of_each_other(root_world: World) -> None:
    with root_world.open() as site:
        made = site.create([root_world.spec("a"), root_world.spec("b")], {})
        one, two = (site.wait_ready(instance, Deadline(30)) for instance in made)
        assert isinstance(one, Sandbox)
        assert isinstance(two, Sandbox)
        look_at_each_other(one, two)


def look_at_each_other(one: Sandbox, two: Sandbox) -> None:
    output(one, "touch /tmp/mine /etc/mine; sleep 321 >/dev/null 2>&1 & exit 0")
    assert run(two, "ls /tmp/mine /etc/mine").returncode != 0
    assert run(two, "ps ax | grep -q '[s]leep 321'").returncode != 0
    assert output(one, "hostname") == "a"
    assert output(two, "hostname") == "b"


@pytest.mark.parametrize("maker", [["sleep", "60"], ["unshare", "--mount", "sleep", "60"]])
def test_what_has_no_root_of_its_own_is_never_entered(maker: list[str], tmp_path: Path) -> None:
    """As a PID 1 that is still making its view: whatever ran there would run on the host."""
    marker = tmp_path / "ran"
    with subprocess.Popen(maker) as process:
        try:
            time.sleep(0.2)
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            endpoint = Sandbox(pid=process.pid, start_time=int(fields[19]))
            command = enter_command(endpoint, ["touch", str(marker)])
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            process.kill()
    assert done.returncode == 125
    assert "refusing to run on the host itself" in done.stderr
    assert not marker.exists()
