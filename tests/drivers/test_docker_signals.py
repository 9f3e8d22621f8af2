"""Ctrl-C and SIGTERM to a whole process group, as a terminal and a CI system send them, at each stage on docker.

They have one handler (tests/lifecycle/test_signals.py): both are sent at the first stage, one of them at the others.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import daemon
from harness.drivers.docker import daemons
from harness.models.endpoint import DaemonAddress
from tests.docker_images import BASE, of, of_ours, usual_client
from tests.projects import Outcome, Project, task
from tests.waiting import wait_for

if TYPE_CHECKING:
    from docker.api.client import APIClient

pytestmark = [pytest.mark.docker, pytest.mark.cargo, pytest.mark.slow]

HARNESS = [sys.executable, "-m", "harness"]


@pytest.fixture
def client() -> Iterator[APIClient]:
    with usual_client() as opened:
        yield opened


@pytest.fixture
def project(tmp_path: Path, client: APIClient) -> Iterator[Project]:
    def call(arguments: object) -> Outcome:
        raise NotImplementedError

    yield Project(tmp_path, call)
    for row in client.containers(all=True, filters=of(tmp_path)):
        client.remove_container(row["Id"], force=True)


@contextlib.contextmanager
def started(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process group of its own, without a terminal."""
    with subprocess.Popen(
        [*HARNESS, *arguments],
        cwd=project.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ends(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    return output


PLATFORMS = [{"name": "node1", "image": BASE}, {"name": "node2", "image": BASE}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_platforms_are_made(client: APIClient, project: Project, number: signal.Signals) -> None:
    project.scenario(driver="docker", platforms=PLATFORMS)
    with started(project, "test") as process:
        wait_for(lambda: of_ours(client, project.folder))
        os.killpg(process.pid, number)
        ends(process)
    assert of_ours(client, project.folder) == []


def test_while_an_image_is_built(client: APIClient, project: Project) -> None:
    folder = project.folder / "docker" / "slow"
    folder.mkdir(parents=True)
    # A build's own containers carry no label of ours: they are told by what they run.
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nRUN echo {project.folder.name} && sleep 300\n")
    project.scenario(driver="docker", platforms=[{"name": "node1", "image": "slow"}])

    def building() -> list[str]:
        return [row["Id"] for row in client.containers(all=True) if f"echo {project.folder.name}" in row["Command"]]

    with started(project, "test") as process:
        wait_for(building)
        os.killpg(process.pid, signal.SIGTERM)
        ends(process)
    wait_for(lambda: not building(), 30)
    assert of_ours(client, project.folder) == []


def test_while_a_command_runs(client: APIClient, project: Project) -> None:
    project.scenario(driver="docker", platforms=PLATFORMS, tasks=[task("hang", "sleep 300")])

    def reached() -> bool:
        rows = client.containers(filters=of(project.folder))
        return any(words[-1] == "sleep 300" for row in rows for words in client.top(row["Id"])["Processes"] or ())

    with started(project, "test") as process:
        wait_for(reached)
        os.killpg(process.pid, signal.SIGINT)
        ends(process)
    assert of_ours(client, project.folder) == []


def test_a_second_one_stops_at_once_and_says_what_is_left(
    client: APIClient, project: Project, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    address = daemon.default_address().url
    if not address.startswith("unix://"):
        pytest.skip(f"the daemon has no socket here: {address}")
    project.scenario(driver="docker", platforms=PLATFORMS, tasks=[task("hang", "sleep 300")])
    door = project.folder / "door.sock"
    with stalling(door, address.removeprefix("unix://")) as (stall, asked):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{door}")
        request.addfinalizer(daemons.path_of(DaemonAddress(url=f"unix://{door}")).unlink)
        with started(project, "converge") as process:
            wait_for(lambda: len(client.containers(filters=of(project.folder))) == 2)
            time.sleep(0.5)
            stall.set()
            os.killpg(process.pid, signal.SIGINT)
            before = asked()
            wait_for(lambda: asked() > before)
            time.sleep(0.5)
            begun = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            output = ends(process)
            assert time.monotonic() - begun < 20, "it does not wait for the daemon"
        assert "node1 (docker)" in output
        assert "harness destroy --orphans" in output
        stall.clear()
        command = [*HARNESS, "destroy", "--orphans"]
        done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    assert of_ours(client, project.folder) == []


@contextlib.contextmanager
def stalling(door: Path, upstream: str) -> Iterator[tuple[threading.Event, Callable[[], int]]]:
    """The daemon's socket, which lets nothing pass while the event is set; and how many bytes have been held up."""
    stall = threading.Event()
    held = [0]

    def carry(one: socket.socket) -> None:
        with one, socket.socket(socket.AF_UNIX) as other, contextlib.suppress(OSError):
            other.connect(upstream)
            open_ends = {one: other, other: one}
            while open_ends:
                for source in select.select(list(open_ends), [], [], 5)[0]:
                    data = source.recv(1 << 16)
                    while stall.is_set():
                        held[0] += len(data)
                        time.sleep(0.05)
                    if data:
                        open_ends[source].sendall(data)
                    else:
                        open_ends.pop(source).shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = listener.accept()
                threading.Thread(target=carry, args=(one,), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(door))
        listener.listen(64)
        threading.Thread(target=serve, daemon=True).start()
        yield stall, lambda: held[0]
        listener.shutdown(socket.SHUT_RDWR)
