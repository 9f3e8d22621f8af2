"""The same on the native driver: real sandboxes, and nothing of them left on this host."""

from __future__ import annotations

import os
import platform
import random
import time
from pathlib import Path

import pytest

from harness import registry
from harness.connections import posix
from harness.connections.base import Connection
from harness.connections.probe import probe
from harness.models.facts import Facts
from tests.projects import Project, start, task

pytestmark = [pytest.mark.cargo, pytest.mark.sandbox]

KILLS = int(os.environ.get("HARNESS_KILLS") or (50 if os.environ.get("HARNESS_SOAK") else 2))
TWO = ({"name": "node1", "groups": ["web"]}, {"name": "node2", "groups": ["db"]})


@pytest.fixture(autouse=True)
def _native_works() -> None:
    problems = registry.driver("native").diagnose()
    if problems:
        pytest.skip("; ".join(str(problem) for problem in problems))


def mine(project: Project) -> list[str]:
    return [one.id for one in registry.driver("native").instances() if one.project == project.folder]


def test_a_run_leaves_this_host_as_it_was(project: Project) -> None:
    project.scenario(
        driver="native",
        platforms=TWO,
        tasks=[task("write", "echo written > /etc/harness-was-here", ["node1", "node2"])],
        test="def test_it(host):\n    assert host.file('/etc/harness-was-here').content_string == 'written\\n'\n",
        full=True,
    )
    project.passes("test")
    assert not Path("/etc/harness-was-here").exists()
    assert mine(project) == []


def test_kept_instances_hold_what_was_done_to_them(project: Project) -> None:
    project.scenario(driver="native", platforms=TWO)
    project.passes("converge")
    project.passes("exec", "-p", "node1", "--", "touch", "/root/mine")
    project.passes("converge")
    assert project.passes("exec", "-p", "node1", "--", "ls", "/root/mine").out == "/root/mine\n"
    assert project.run("exec", "-p", "node2", "--", "ls", "/root/mine").code == 2
    project.passes("destroy")
    assert mine(project) == []


def test_a_platform_is_asked_once_what_it_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(connection: Connection) -> Facts:
        asked.append(connection.name)
        return probe(connection)

    monkeypatch.setattr(posix, "probe", counted)
    project.scenario(driver="native", platforms=TWO)
    project.passes("create")
    assert len(asked) == 2
    assert {row.facts.arch for row in project.instances() if row.facts is not None} == {platform.machine()}
    project.passes("converge")
    assert len(asked) == 2
    # Described otherwise since then, it may be reached in another way, and as somebody else.
    project.scenario(driver="native", platforms=[{**TWO[0], "environment": {"A": "b"}}, TWO[1]])
    project.passes("converge")
    assert len(asked) == 3
    project.passes("destroy")


def test_whatever_moment_it_is_killed_nothing_stays(project: Project) -> None:
    project.scenario("bystander", driver="native")
    project.passes("create", "-s", "bystander")
    kept = mine(project)
    project.scenario(driver="native", platforms=TWO, full=True)
    project.passes("test")
    chance = random.Random(7)
    for _ in range(KILLS):
        with start(project, "test") as process:
            time.sleep(chance.uniform(0.3, 2.5))
            process.kill()
            process.communicate()
        project.passes("destroy", "--orphans")
        assert mine(project) == kept
    project.passes("destroy", "-s", "bystander")
    assert mine(project) == []
