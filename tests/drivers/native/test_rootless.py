"""An ordinary user, made for this: over an image everything, over the host's root what is not root's."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.native.conftest import World

pytestmark = [pytest.mark.root, pytest.mark.sandbox, pytest.mark.rootless]

NAME = f"harness-test-{os.getpid()}"
REPOSITORY = Path(__file__).resolve().parents[3]


def interpreter(user: str) -> tuple[str, str]:
    """A Python that this user can run with our packages, and the search path it needs."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    path = ":".join([str(REPOSITORY), *packages])
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}", "/usr/bin/python3"):
        done = subprocess.run(
            ["runuser", "-u", user, "--", "env", f"PYTHONPATH={path}", candidate, "-c", "import pydantic, harness"],
            capture_output=True,
            check=False,
            cwd="/",
        )
        if done.returncode == 0:
            return candidate, path
    pytest.skip("no Python with our packages is within reach of an ordinary user")


class Person:
    """Runs Python as the throw-away user."""

    def __init__(self, name: str, cache: Path) -> None:
        self.name = name
        self.cache = cache
        self.home = Path(pwd.getpwnam(name).pw_dir)
        self.python, self.path = interpreter(name)

    def run(self, script: str, *arguments: str) -> Any:
        """What the script prints as JSON."""
        environment = ["env", "-i", f"PATH={os.environ['PATH']}", f"HOME={self.home}", f"PYTHONPATH={self.path}"]
        environment.append(f"HARNESS_CACHE_DIR={self.cache}")
        done = subprocess.run(
            ["runuser", "-u", self.name, "--", *environment, self.python, "-B", "-c", BEGIN + script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


BEGIN = """
import json, os, subprocess, sys
from pathlib import Path
from harness.deadline import Deadline
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.drivers.native import NativeDriver, identity
from harness.drivers.native.options import NativeOptions
from harness.sandbox.command import enter_command
home, cache = Path.home(), Path(os.environ["HARNESS_CACHE_DIR"])
driver = NativeDriver()
site = driver.open(ScenarioRef(home, "default", home), RunId("r1"), keep=False)

def run(command, **how):
    done = subprocess.run(enter_command(endpoint, ["sh", "-c", command], **how), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    return [done.returncode, done.stdout.strip()]

def make(image=None, bases=None, **options):
    spec = PlatformSpec("node1", "native", image=image, options=NativeOptions(**options))
    (instance,) = site.create([spec], bases or {})
    return instance, site.wait_ready(instance, Deadline(30))
"""


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    if os.geteuid() != 0 or not shutil.which("useradd") or not shutil.which("newuidmap"):
        pytest.skip("needs root, useradd and newuidmap (apt-get install uidmap)")
    made = subprocess.run(["useradd", "--create-home", NAME], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no user can be made: {made.stderr}")
    # Not on disk where that can be: unpacking and removing an image takes ten times as long there.
    memory = Path("/dev/shm")
    cache = Path(tempfile.mkdtemp(prefix="harness-test-", dir=memory if os.access(memory, os.W_OK) else None))
    shutil.chown(cache, NAME, NAME)
    try:
        yield Person(NAME, cache)
    finally:
        shutil.rmtree(cache)
        subprocess.run(["userdel", "--remove", "--force", NAME], capture_output=True, check=True)


def test_a_view_of_the_host(root_world: World, person: Person) -> None:
    seen = person.run("""
assert driver.diagnose() == [], driver.diagnose()
instance, endpoint = make()
result = {
    "foreign": [endpoint.rootless, endpoint.foreign_root],
    "id": run("id -u; hostname"), "etc": run("echo x >> /etc/passwd"), "tmp": run("echo hi > /tmp/x; cat /tmp/x"),
    "home": run(f"ls -A {home}"), "null": run("chmod 600 /dev/null"), "chown": run("touch /tmp/y; chown 5:5 /tmp/y"),
    "processes": run("ps ax | wc -l"), "pid1": run("readlink /proc/1/exe"),
    "written": "/tmp/x" in site.written(instance).paths,
}
site.destroy(instance)
result["left"] = [str(path) for path in (cache / "native/instances").iterdir()]
print(json.dumps(result))
""")
    assert seen["foreign"] == [True, True]
    assert seen["id"] == [0, "0\nnode1"]
    assert seen["etc"][0] != 0
    assert seen["tmp"] == [0, "hi"]
    assert seen["home"] == [0, ""]
    assert seen["null"][0] != 0
    assert seen["chown"] == [0, ""]
    assert int(seen["processes"][1]) < 8
    assert seen["pid1"][0] != 0
    assert seen["written"]
    assert seen["left"] == []


def test_hidden_homes_are_writable(root_world: World, person: Person) -> None:
    seen = person.run("""
(home / "secret").write_text("x")
instance, endpoint = make()
result = run(f"ls -A {home}; echo mine > {home}/new && cat {home}/new")
site.destroy(instance)
print(json.dumps([result, (home / "new").exists()]))
""")
    assert seen == [[0, "mine"], False]


def test_a_listener_on_its_loopback(root_world: World, person: Person) -> None:
    seen = person.run("""
from harness.connections import open_connection
from harness.errors import PortTaken
instance, endpoint = make()
with open_connection(endpoint, name="node1") as connection:
    with connection.listen(21818) as listening:
        listening.settimeout(20)
        with connection.start(["bash", "-c", "cat </dev/tcp/127.0.0.1/21818"]) as process:
            with listening.accept()[0] as client:
                client.sendall(b"heard")
            said = process.wait(20).out
        try:
            connection.listen(21818)
            taken = False
        except PortTaken:
            taken = True
site.destroy(instance)
print(json.dumps([said, taken]))
""")
    assert seen == ["heard", True]


def test_the_host_s_network(root_world: World, person: Person) -> None:
    seen = person.run("""
instance, endpoint = make(network="host")
result = [run("readlink /proc/self/ns/net"), os.readlink("/proc/self/ns/net"), run("ls -A /sys/fs/cgroup")]
site.destroy(instance)
print(json.dumps(result))
""")
    assert seen[0] == [0, seen[1]]
    assert seen[2] == [0, ""]


@pytest.mark.image
@pytest.mark.parametrize("upper", ["memory", "disk"])
def test_an_image(root_world: World, person: Person, debian: str, upper: str) -> None:
    """Owners, users and snapshots, as for root; and nothing is left, though other ids own it."""
    from harness.drivers import images

    image = images.find(debian)
    assert image is not None
    target = person.cache / "images" / image.folder.name
    if not target.exists():
        target.mkdir(parents=True)
        shutil.copy(image.tar, target)
        shutil.copy(image.folder / "image.json", target)
        subprocess.run(["chown", "-R", f"{person.name}:", str(person.cache)], check=True)
    seen = person.run(
        """
instance, endpoint = make("debian-12", upper=sys.argv[1])
result = {"foreign": endpoint.foreign_root}
result["user"] = run("useradd -m bob && su bob -c 'id -un; touch ~/mine; stat -c %U ~/mine'")
result["as bob"] = run("id -un", user="bob")
result["owner"] = run("touch /opt/f; chown 12:34 /opt/f; rm -rf /etc/apt; stat -c %u:%g /opt/f")
snapshot = site.snapshot(instance, "clean")
run("rm /opt/f; mkdir /etc/apt")
endpoint = site.revert(instance, snapshot, Deadline(30))
result["reverted"] = run("stat -c %u:%g /opt/f; ls /etc/apt 2>/dev/null; stat -c %U /home/bob/mine")
endpoint = site.reboot(instance, Deadline(30))
result["rebooted"] = run("stat -c %u:%g /opt/f")
result["written"] = sorted(path for path in site.written(instance).paths if path in ("/opt/f", "/etc/apt"))
site.delete_snapshot(snapshot)
site.destroy(instance)
result["left"] = [str(path) for path in [*cache.glob("native/instances/*"), *cache.glob("native/snapshots/*")]]
print(json.dumps(result))
""",
        upper,
    )
    assert seen == {
        "foreign": False,
        "user": [0, "bob\nbob"],
        "as bob": [0, "bob"],
        "owner": [0, "12:34"],
        "reverted": [0, "12:34\nbob"],
        "rebooted": [0, "12:34"],
        "written": [],
        "left": [],
    }


def test_what_needs_root(root_world: World, person: Person) -> None:
    seen = person.run("""
from harness.errors import DriverFailed
try:
    make("debian-12", init="systemd")
except DriverFailed as error:
    print(json.dumps([error.message, error.hint]))
""")
    assert "needs root" in seen[0]
    assert "sudo" in seen[1]
