"""Inside a Docker container: refused with the cure by default, and at work where it is allowed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from harness.drivers import images

pytestmark = [pytest.mark.root, pytest.mark.docker, pytest.mark.image, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[3]
TAG = f"harness-local/test-{os.getpid()}:1"
SCRIPT = """
import json, subprocess
from pathlib import Path
from harness.deadline import Deadline
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.drivers.native import NativeDriver
from harness.errors import HarnessError
from harness.sandbox.command import enter_command
driver = NativeDriver()
told = [[problem.message, problem.hint] for problem in driver.diagnose()]
with driver.open(ScenarioRef(Path("/p"), "default", Path("/p")), RunId("r1"), keep=False) as site:
    try:
        instance, = site.create([PlatformSpec("node1", "native")], {})
    except HarnessError as error:
        print(json.dumps({"told": told, "error": error.message, "hint": error.hint}))
    else:
        endpoint = site.wait_ready(instance, Deadline(10))
        command = ("touch /usr/mine; hostname; cat /sys/class/net/lo/operstate; id -u; "
                   "umount /proc/sys 2>&1; readlink /proc/1/exe; ls /usr/mine")
        done = subprocess.run(enter_command(endpoint, ["sh", "-c", command]), capture_output=True, text=True)
        site.destroy(instance)
        print(json.dumps({"told": told, "out": done.stdout, "err": done.stderr, "there": Path("/usr/mine").exists(),
                          "left": [record.id for record in driver.instances()]}))
"""


@pytest.fixture(scope="module")
def docker(debian: str) -> Iterator[str]:
    """The tag of an imported image."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs a Docker daemon")
    image = images.find(debian)
    assert image is not None
    subprocess.run(["docker", "import", str(image.tar), TAG], check=True, capture_output=True)
    yield TAG
    subprocess.run(["docker", "image", "rm", "--force", TAG], check=True, capture_output=True)


def inside(docker: str, *options: str) -> dict[str, object]:
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    if Path(packages).parent.name != "python3.11":
        pytest.skip("the image's Python is 3.11 and cannot run the packages of this one")
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--network=none", *options, "-e", f"PYTHONPATH={REPOSITORY}:{packages}"),
            *("-v", f"{REPOSITORY}:{REPOSITORY}:ro", "-v", f"{packages}:{packages}:ro"),
            *(docker, "python3", "-B", "-c", SCRIPT),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, object] = json.loads(done.stdout)
    return seen


def test_a_plain_container(docker: str) -> None:
    seen = inside(docker)
    cure = "start the container with --cap-add SYS_ADMIN --security-opt seccomp=unconfined"
    assert seen["told"] == [["no sandbox can be made here: make a mount name space: Operation not permitted", cure]]
    assert seen["error"] == "node1: no sandbox could be made: make a mount name space: Operation not permitted"
    assert seen["hint"] == cure


def test_a_container_that_may(docker: str) -> None:
    """Root there has no CAP_NET_ADMIN, no CAP_SYS_PTRACE, and an overlay of Docker's as its root."""
    seen = inside(docker, "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
    assert seen["told"] == []
    out = str(seen["out"]).splitlines()
    assert out[:3] == ["node1", "unknown", "0"]
    assert "umount" in out[3]
    assert out[4:] == ["/usr/mine"], "what PID 1 executes is not to be seen"
    assert seen["there"] is False
    assert seen["left"] == []


def test_an_ordinary_user_in_a_container(docker: str) -> None:
    """Docker masks parts of /proc, and a user name space may then mount none: doctor knows before."""
    user = ("--user", "1000:1000", "-e", "HARNESS_CACHE_DIR=/tmp/cache", "--security-opt", "seccomp=unconfined")
    seen = inside(docker, *user)
    cure = "--security-opt seccomp=unconfined --security-opt systempaths=unconfined"
    ((message, hint),) = cast("list[tuple[str, str]]", seen["told"])
    assert message == "no sandbox can be made here: mount proc on /proc: Operation not permitted"
    assert cure in str(hint)
    assert cure in str(seen["hint"])
    seen = inside(docker, *user, "--security-opt", "systempaths=unconfined")
    assert seen["told"] == []
    assert str(seen["out"]).splitlines()[:3] == ["node1", "unknown", "0"]
