"""ContainerManager, and its fixture in somebody else's test suite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from harness.containers import CommandFailed, ContainerManager
from harness.errors import DeployFailed, DriverFailed, InvalidInput, UsageError
from harness.models.config import VM, Docker, TargetPlatform
from tests.docker_images import BASE, of_ours, usual_client
from tests.waiting import wait_for

if TYPE_CHECKING:
    from docker.api.client import APIClient

needs_docker = pytest.mark.docker


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[APIClient]:
    with usual_client() as opened:
        monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
        yield opened


@needs_docker
def test_a_manager_from_start_to_end(client: APIClient, tmp_path: Path) -> None:
    binary = tmp_path / "runner"
    binary.write_text("#!/bin/sh\necho ran as $(id -un)\n")
    target = TargetPlatform(arch="x86_64", os="linux", environment=Docker(image=BASE, volumes=[f"{tmp_path}:/mnt:ro"]))
    with ContainerManager(tmp_path) as manager:
        network = manager.create_test_network()
        assert manager.create_test_network() == network
        assert [row["Name"] for row in client.networks(names=[network])] == [network]
        web = manager.start_target_container(target, "web", env={"COLOUR": "blue"})
        db = manager.start_target_container(BASE, "db")
        assert manager.containers == {"web": web, "db": db}
        assert client.inspect_container(web.id)["NetworkSettings"]["Networks"][network]["IPAddress"] == web.ip_address
        assert manager.execute_in_container(web, "getent hosts db").split()[0] == db.ip_address
        assert manager.execute_in_container(web, "echo $COLOUR; ls /mnt/runner") == "blue\n/mnt/runner\n"
        manager.copy_binary_to_container(web, binary, "/opt/new/runner")
        assert manager.execute_in_container(web, "/opt/new/runner") == "ran as root\n"
        with pytest.raises(CommandFailed, match=r"web: 'echo no >&2; exit 3' ended with status 3: no") as caught:
            manager.execute_in_container(web, "echo no >&2; exit 3")
        assert (caught.value.rc, caught.value.stderr) == (3, "no\n")
        assert manager.connection(web).run("exit 4").rc == 4
        with pytest.raises(DeployFailed, match="no file"):
            manager.copy_binary_to_container(web, tmp_path / "missing", "/x")
        with pytest.raises(UsageError, match="already"):
            manager.start_target_container(BASE, "web")
        manager.cleanup_all()
        assert of_ours(client, tmp_path) == []
        manager.cleanup_all()
        with pytest.raises(UsageError, match="removed"):
            manager.execute_in_container(web, "true")
        again = manager.start_target_container(BASE, "web")
        assert manager.execute_in_container(again, "echo anew") == "anew\n"
    assert of_ours(client, tmp_path) == []


@needs_docker
def test_what_cannot_be_started_leaves_nothing(client: APIClient, tmp_path: Path) -> None:
    with ContainerManager(tmp_path) as manager:
        with pytest.raises(InvalidInput) as caught:
            manager.start_target_container(BASE, "web", memroy="1g", published_ports=["x"])
        assert {problem.where for problem in caught.value.problems} == {"memroy", "published_ports"}
        with pytest.raises(UsageError, match="VM"):
            vm = TargetPlatform(arch="x86_64", os="linux", environment=VM(image="x", snapshot=None))
            manager.start_target_container(vm, "web")
        with pytest.raises(DriverFailed):
            manager.start_target_container(BASE, "web", user="no-such-user")
        assert of_ours(client, tmp_path) == []


@needs_docker
@pytest.mark.ssh
def test_sshd_in_a_container(client: APIClient, tmp_path: Path) -> None:
    """By OpenSSH's own client, with what is returned and nothing else."""
    with ContainerManager(tmp_path) as manager:
        container = manager.start_target_container(BASE, "node1")
        access = manager.setup_ssh_access(container)
        assert (access.host, access.port) == (container.ip_address, container.ssh_port)
        [identity] = access.identities
        assert Path(identity).stat().st_mode & 0o777 == 0o600
        options = [f"-oUserKnownHostsFile={access.known_hosts}", "-oIdentitiesOnly=yes", "-oBatchMode=yes"]
        command = ["ssh", "-F/dev/null", f"-i{identity}", *options, f"-p{access.port}", f"{access.user}@{access.host}"]
        done = subprocess.run([*command, "hostname"], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "node1\n"), done.stderr
        assert manager.setup_ssh_access(container) == access, "a second call changes nothing"
    assert not Path(identity).exists()


SUITE = f"""
import os, time

def test_uses_a_container(container_manager):
    box = container_manager.start_target_container("{BASE}", "box")
    assert container_manager.execute_in_container(box, "echo here") == "here\\n"
    open("reached", "w").close()
    if os.environ["STORY"] == "fail":
        assert False, "on purpose"
    time.sleep(300)
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Somebody else's: all that it has of ours is the installed plugin."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_theirs.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def begun(suite: Path, story: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=suite,
        env={**os.environ, "STORY": story},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@needs_docker
def test_the_fixture_cleans_up_after_a_failure(client: APIClient, suite: Path) -> None:
    with begun(suite, "fail") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "on purpose" in output
    assert of_ours(client, suite) == []


@needs_docker
def test_the_fixture_cleans_up_after_ctrl_c(client: APIClient, suite: Path) -> None:
    with begun(suite, "hang") as process:
        wait_for((suite / "reached").exists)
        assert of_ours(client, suite) != []
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert of_ours(client, suite) == []


@needs_docker
@pytest.mark.parametrize("watched", [True, False])
def test_nothing_outlives_a_kill(client: APIClient, suite: Path, watched: bool) -> None:
    with begun(suite, "hang") as process:
        wait_for((suite / "reached").exists)
        doomed = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in doomed:
            if not watched:
                child.kill()
    if not watched:
        assert of_ours(client, suite) != []
        command = [sys.executable, "-m", "harness", "destroy", "--orphans"]
        subprocess.run(command, cwd=suite, check=True, capture_output=True, timeout=120)
        assert of_ours(client, suite) == []
    wait_for(lambda: not of_ours(client, suite))


def test_the_fixture_says_what_is_missing(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with begun(suite, "fail") as process:
        output, _ = process.communicate(timeout=120)
    assert "there is no such socket" in output
    assert "Traceback" not in output
