"""Snapshots of `prepare` on the drivers that people use: what real containers and sandboxes keep, lose and leave."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.cache import cache_dir
from harness.lifecycle.snapshots import shelf
from tests.projects import Project, start
from tests.waiting import left_running, wait_for

if TYPE_CHECKING:
    from docker.api.client import APIClient

PREPARE = f"""#!/bin/sh
date +%s.%N >/opt/state
rm /etc/issue
echo lost >/dev/shm/lost
{left_running("sleep 97533")}"""
LOOK = "cat /opt/state; ls /etc/issue /dev/shm/lost 2>&1 | wc -l; grep -l 9753[3] /proc/[0-9]*/cmdline"


@pytest.fixture(autouse=True)
def _own_cache(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the images that all share."""
    images = cache_dir() / "images"
    images.mkdir(exist_ok=True)
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    (cache / "images").symlink_to(images)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(cache))
    monkeypatch.delenv("HARNESS_SNAPSHOTS_ENABLED")


@pytest.fixture
def client(_own_cache: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[APIClient]:
    from harness import daemon
    from harness.drivers.docker import DockerDriver
    from tests.docker_images import ensure_base

    problems = DockerDriver().diagnose()
    if problems:
        pytest.skip(str(problems[0]))
    with monkeypatch.context() as patched:
        patched.delenv("HARNESS_CACHE_DIR")
        ensure_base()
    opened = daemon.connect(daemon.default_address())
    yield opened
    for row in ours(opened):
        opened.remove_image(row["Id"], force=True)
    opened.close()


def ours(client: APIClient) -> list[dict[str, Any]]:
    from harness.drivers.docker import labels

    wanted = [labels.SNAPSHOT, f"{labels.CACHE}={cache_dir()}"]
    found: list[dict[str, Any]] = client.images(all=True, filters={"label": wanted})
    return found


def containers(client: APIClient, project: Project) -> list[dict[str, str]]:
    from harness.drivers.docker import labels

    wanted = {"label": f"{labels.PREFIX}project={project.folder}"}
    found: list[dict[str, str]] = client.containers(all=True, filters=wanted)
    return found


def in_docker(project: Project, *, prepare: str = PREPARE, **options: object) -> None:
    from tests.docker_images import BASE

    project.scenario(
        driver="docker",
        platforms=[{"name": "node1", "image": BASE, **options}],
        files={"prepare.sh": prepare, "side_effect.sh": "cat /opt/state >&2; exit 7\n"},
        scenario={"test_sequence": ["create", "prepare", "side_effect", "destroy"]},
    )


def state(project: Project) -> str:
    """As a later verb finds it, once the platforms have been made and prepared."""
    project.passes("prepare")
    found = project.run("exec", "--", LOOK).out
    project.passes("destroy")
    return found


@pytest.mark.docker
def test_containers(project: Project, client: APIClient) -> None:
    in_docker(project)
    outcome = project.passes("prepare")
    assert "what prepare left and no snapshot holds is gone: sleep, /dev/shm/lost" in outcome.text
    first = project.run("exec", "--", LOOK).out
    assert first.splitlines()[1:] == ["2"], "neither the file that prepare removed, nor the tmpfs, nor the process"
    assert "lies on it" in project.passes("snapshot", "prune", "--all").out
    project.passes("destroy")
    assert state(project) == first
    assert len(ours(client)) == 1
    client.remove_image(ours(client)[0]["Id"], force=True)
    assert state(project) != first, "somebody has removed the image: it is prepared anew"
    [image] = ours(client)
    client.tag(image["Id"], "harness-local/somebody", "else")
    project.passes("snapshot", "prune", "--all")
    assert [row["RepoTags"] for row in ours(client)] == [["harness-local/somebody:else"]]
    assert containers(client, project) == []


@pytest.mark.docker
def test_volumes_of_the_image_count(project: Project, client: APIClient) -> None:
    """Whether the platform names them or its image does."""
    folder = project.folder / "docker" / "with-volume"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("ARG BASE=debian-12\nFROM harness-local/tests:base\nVOLUME /data\n")
    project.scenario(
        driver="docker",
        platforms=[{"name": "node1", "image": "with-volume"}],
        files={"prepare.sh": "echo kept >/data/file\n"},
    )
    assert "node1 has /data, which none holds" in project.passes("prepare", "--debug").text
    assert project.passes("exec", "--", "cat /data/file").out == "kept\n"
    project.passes("destroy")
    assert ours(client) == []
    for row in client.images(filters={"reference": "harness-local/with-volume"}):
        client.remove_image(row["Id"], force=True)


@pytest.mark.docker
def test_a_container_whose_run_was_killed_while_it_was_committed(project: Project, client: APIClient) -> None:
    in_docker(project, prepare="dd if=/dev/urandom of=/opt/big bs=1M count=80 2>/dev/null\n")
    process = start(project, "test")
    # A container stands still while it is committed.
    wait_for(lambda: any(row["State"] == "paused" for row in containers(client, project)))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    wait_for(lambda: ours(client))  # the daemon ends what it has begun
    assert shelf.all_sets() == []
    project.passes("destroy", "--orphans")
    assert ours(client) == []
    assert containers(client, project) == []
    assert shelf.announcements() == []


@pytest.mark.docker
def test_two_runs_on_one_daemon_at_once(project: Project, client: APIClient) -> None:
    in_docker(project)
    both = [start(project, "test") for _ in range(2)]
    texts = [process.communicate(timeout=200)[0] for process in both]
    seen = [next(line for line in text.splitlines() if line.strip()[:3].isdigit()) for text in texts]
    assert seen[0].strip() == seen[1].strip(), "whoever was later goes on from what the other has made"
    assert len(ours(client)) == 1
    assert containers(client, project) == []


@pytest.mark.sandbox
@pytest.mark.image
def test_sandboxes_over_an_image(project: Project) -> None:
    from harness.drivers.native import store

    platforms = [{"name": "node1", "image": "debian-12"}]
    project.scenario(driver="native", platforms=platforms, files={"prepare.sh": PREPARE})
    first = state(project)
    assert first.splitlines()[1:] == ["2"]
    assert state(project) == first
    [folder] = store.home().iterdir()
    (next(folder.glob("*/root/0/opt")) / "state").write_text("not what it was")
    changed = state(project)
    assert "not what it was" not in changed
    assert changed != first
    [named] = json.loads(project.passes("snapshot", "list", "--json").out)["automatic"]
    assert named["fault"] is None
    project.passes("snapshot", "prune", "--all")
    assert list(store.home().iterdir()) == []


@pytest.mark.sandbox
def test_a_view_of_this_host_is_kept_only_where_it_is_asked_for(project: Project) -> None:
    """It may change from run to run, and nothing can say so for sure."""
    project.scenario(driver="native", files={"prepare.sh": "date +%s.%N >/opt/state\n"})
    assert state(project) != state(project)
    assert shelf.all_sets() == []
    project.scenario(
        driver="native",
        platforms=[{"name": "node1", "snapshot": True}],
        files={"prepare.sh": "date +%s.%N >/opt/state\n"},
    )
    assert state(project) == state(project)
    project.passes("snapshot", "prune", "--all")
