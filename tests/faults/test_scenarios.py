"""Faults as a scenario asks for them, on real sandboxes: each ends in time, in words that name the cause, undone."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from tests.projects import Project, task

pytestmark = [
    pytest.mark.cargo,
    pytest.mark.sandbox,
    pytest.mark.root,
    pytest.mark.usefixtures("cut_connections"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SEQUENCE = ["create", "converge", "side_effect", "destroy"]
SLOW = [task("first", "sleep 0.3"), task("second", "sleep 5"), task("third", "true")]


@pytest.fixture(autouse=True)
def _native_works() -> None:
    problems = registry.driver("native").diagnose()
    if problems:
        pytest.skip("; ".join(str(problem) for problem in problems))


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a host that stands still, where all has been tried."""
    monkeypatch.setattr("harness.connections.shell._KILLED_SECONDS", 1.0)
    monkeypatch.setattr("harness.connections.ssh._ENDING_SECONDS", 4.0)


def scenario(project: Project, *faults: Mapping[str, Any], timeout: float = 60, **keys: Any) -> None:
    project.scenario(
        driver="native",
        tasks=keys.pop("tasks", None),
        provisioner={"side_effect": [{"fault": dict(fault)} for fault in faults], **keys.pop("provisioner", {})},
        scenario={"timeout_seconds": timeout, "test_sequence": keys.pop("sequence", SEQUENCE)},
        **keys,
    )


def clean(project: Project) -> None:
    assert [one for one in registry.driver("native").instances() if one.project == project.folder] == []


def outcome(project: Project, step: str = "converge") -> tuple[str, str]:
    """The outcome of a step, and all that was said."""
    report = project.report()
    [found] = [one for one in report.steps if one.step == step]
    results = report.execution_result.host_results if report.execution_result else []
    errors = [result.error or "" for result in results]
    return found.outcome, "\n".join([found.reason or "", *errors])


@pytest.mark.parametrize(
    ("kind", "words"),
    [("disk-full", "No space left"), ("read-only", "Read-only file system"), ("noexec", "/tmp: Permission denied")],
)
def test_nowhere_to_put_the_binary(project: Project, kind: str, words: str) -> None:
    scenario(project, {"kind": kind, "during": "converge"}, sequence=["create", "converge", "destroy"])
    assert project.run("test").code == 2
    ended, said = outcome(project)
    assert ended == "error"
    assert words in said
    clean(project)


def test_a_disk_that_gives_out_as_the_binary_travels(project: Project) -> None:
    kinds = {"disk-full": "No space left on device", "read-only": "Read-only file system"}
    scenario(
        project,
        *({"kind": kind, "platform": kind, "during": "push"} for kind in kinds),
        platforms=[{"name": kind} for kind in kinds],
        sequence=["create", "converge", "destroy"],
    )
    assert project.run("test").code == 2
    _, said = outcome(project)
    for words in kinds.values():
        assert re.search(rf"the binary .* could not be pushed: .*{words}", said), said
    clean(project)


def test_two_of_a_kind_end_with_the_last(project: Project) -> None:
    frozen = {"kind": "target-frozen"}
    scenario(project, frozen, {**frozen, "seconds": 0.1}, sequence=["create", "side_effect", "destroy"])
    text = project.passes("test", "-v").text
    assert (text.count("fault: "), text.count("fault undone: ")) == (2, 1)
    clean(project)


def test_a_full_tmp_alone_is_dodged(project: Project) -> None:
    scenario(project, {"kind": "noexec", "paths": ["/tmp"], "during": "converge"})
    project.passes("test")


def test_the_runner_is_killed_for_want_of_memory(project: Project) -> None:
    scenario(project, {"kind": "out-of-memory", "after_task": "first"}, tasks=SLOW)
    assert project.run("test").code == 2
    ended, said = outcome(project)
    assert ended == "error"
    # Whichever of them has it ask for its next page.
    assert re.search(r"in task '(second|third)' .*killed by signal 9", said), said
    assert list(Path("/sys/fs/cgroup").glob("**/harness-memory-*")) == []
    clean(project)


def test_without_a_memory_controller_it_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.faults.memory._controller", lambda: None)
    scenario(project, {"kind": "out-of-memory", "after_task": "first"}, tasks=SLOW)
    result = project.run("test")
    assert result.code == 2
    assert "out-of-memory cannot be done to node1: this machine has no memory controller" in result.text
    assert "created by" not in result.text


def test_the_platform_dies_at_work(project: Project) -> None:
    scenario(project, {"kind": "target-killed", "after_task": "first"}, tasks=SLOW)
    assert project.run("test").code == 2
    ended, said = outcome(project)
    assert ended == "error"
    assert "the platform cannot be reached any more: " in said
    assert "any more: node1: " not in said
    clean(project)


@pytest.mark.parametrize(
    ("moment", "words"),
    [({"after_task": "first"}, "not done after 6 s in task"), ({"during": "converge"}, "does not answer within")],
)
def test_a_platform_stands_still_and_the_other_goes_on(
    project: Project, impatience: None, moment: dict[str, str], words: str
) -> None:
    both = ["node1", "node2"]
    scenario(
        project,
        {"kind": "target-frozen", "platform": "node1", **moment},
        platforms=[{"name": name} for name in both],
        tasks=[task("first", "sleep 0.3", both), task("second", "sleep 1", both)],
        timeout=6,
        sequence=["create", "converge", "destroy"],
    )
    assert project.run("test").code == 2
    ended, said = outcome(project)
    assert ended == "error"
    assert words in said
    assert "it stands still, or nothing gets through to it" in said
    execution = project.report().execution_result
    assert execution is not None
    done = {one.host: (one.error, len(one.task_results)) for one in execution.host_results}
    assert done["node2"] == (None, 2)
    assert "node2" not in said
    clean(project)


def test_a_side_effect_is_held_and_undone(project: Project) -> None:
    scenario(
        project,
        {"kind": "target-killed", "seconds": 0.1},
        sequence=["create", "converge", "side_effect", "idempotence", "destroy"],
    )
    project.passes("test")
    clean(project)


def test_several_on_a_group_are_undone_the_last_first(project: Project) -> None:
    """What stands still cannot be set right, and what was started anew has no more of what came over its folders."""
    scenario(
        project,
        {"kind": "read-only", "paths": ["/tmp"], "platform": "web"},
        {"kind": "target-frozen", "platform": "web"},
        {"kind": "disk-full", "paths": ["/tmp"], "platform": "db"},
        {"kind": "target-killed", "platform": "db"},
        platforms=[{"name": "node1", "groups": ["web"]}, {"name": "node2", "groups": ["db"]}, {"name": "node3"}],
        sequence=["create", "side_effect", "destroy"],
    )
    text = project.passes("test", "-v").text
    assert "could not be undone" not in text
    assert (text.count("fault: "), text.count("fault undone: ")) == (4, 4)
    assert "node3  fault" not in text
    clean(project)


def test_a_folder_that_is_not_there_is_no_fault(project: Project) -> None:
    scenario(project, {"kind": "noexec", "paths": ["/nowhere"], "during": "converge"})
    result = project.run("test")
    assert result.code == 2
    assert "/nowhere is no folder there" in result.text
    clean(project)


def test_a_fault_that_does_not_strike_is_told(project: Project) -> None:
    scenario(project, {"kind": "out-of-memory", "after_task": "hello", "platform": "node1"})
    result = project.run("test", "--strict")
    assert result.code in (1, 2), "either it came too late, or it struck"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({}, "fault.kind: missing; it is required"),
        ({"kind": "disk-ful"}, "did you mean disk-full?"),
        ({"kind": "connection-cut"}, "give it `connection: ssh`"),
        ({"kind": "clock-skew"}, "the driver native lacks own-clock"),
        ({"kind": "target-killed", "platform": "node9"}, "there is no platform or group 'node9'"),
        ({"kind": "target-killed", "platform": []}, "names nobody"),
        ({"kind": "target-killed", "paths": ["/x"]}, "target-killed has no paths"),
        ({"kind": "disk-full", "paths": ["x"]}, "should be an absolute path"),
        ({"kind": "out-of-memory", "during": "push"}, "out-of-memory can be had only with `during: run`"),
        ({"kind": "target-frozen", "after_task": "a", "during": "push"}, "it means `during: run`"),
        ({"kind": "target-frozen", "after_task": "nonesuch"}, "which the plan does not have"),
        ({"kind": "target-frozen", "seconds": -1}, "seconds"),
        ({"kind": "clock-skew", "offset_seconds": float("-inf")}, "offset_seconds: should be"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(project: Project, fault: dict[str, Any], words: str) -> None:
    scenario(project, fault, sequence=["create", "converge", "side_effect", "destroy"])
    result = project.run("test")
    assert result.code == 2
    assert words in result.text
    assert "should be text" not in result.text, "it is a fault, and no file's name"
    assert "created by" not in result.text


SAME_BY_ANOTHER_WAY_IN = [
    ({"kind": "sshd-stopped", "during": "converge"}, "refused"),
    ({"kind": "target-frozen", "after_task": "first"}, "does not answer any more"),
    ({"kind": "target-killed", "after_task": "first"}, "connection broke"),
]
SSH = ({"name": "node1", "connection": "ssh"},)


@pytest.mark.ssh
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "sshd-stopped", "during": "push"}, "pushed"),
        ({"kind": "connection-cut", "after_task": "first"}, "connection broke"),
        ({"kind": "host-key-changed", "during": "converge"}, "host key"),
        ({"kind": "wrong-key", "during": "converge"}, "key"),
        ({"kind": "wrong-password", "during": "converge"}, "password"),
        ({"kind": "packets-dropped", "after_task": "first"}, "does not answer any more"),
        *(SAME_BY_ANOTHER_WAY_IN if os.environ.get("HARNESS_SOAK") else ()),
    ],
)
def test_behind_sshd(project: Project, impatience: None, fault: dict[str, Any], words: str) -> None:
    scenario(project, fault, platforms=SSH, tasks=SLOW, timeout=8, sequence=["create", "converge", "destroy"])
    result = project.run("test")
    ended, said = outcome(project)
    print(result.text)
    assert (result.code, ended) == (2, "error")
    assert words in said
    clean(project)


@pytest.mark.ssh
def test_a_slow_way_is_only_slow(project: Project) -> None:
    shaping = {"rtt_ms": 20, "jitter_ms": 4, "loss_percent": 0.1, "rate_kbit": 50_000}
    project.scenario(driver="native", platforms=[{**SSH[0], "shaping": shaping}], full=True)
    project.passes("test")


@pytest.mark.ssh
@pytest.mark.ansible
def test_what_ends_in_a_fallback_says_why(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run: five hosts lose their binary in five ways. Three go on by Ansible, two have nothing to go on with."""
    monkeypatch.setattr("harness.deploy.aftermath._PATIENCE", 8.0)  # for the one that has gone
    faults: dict[str, dict[str, Any]] = {
        "noexec": {"kind": "noexec", "during": "converge"},
        "full": {"kind": "disk-full", "during": "converge"},
        "stopped": {"kind": "sshd-stopped", "during": "push", "seconds": 0.1},
        "cut": {"kind": "connection-cut", "after_task": "first"},
        "killed": {"kind": "target-killed", "after_task": "first"},
    }
    behind = ("stopped", "cut", "killed")
    scenario(
        project,
        *({**fault, "platform": name} for name, fault in faults.items()),
        platforms=[{"name": name, **({"connection": "ssh"} if name in behind else {})} for name in faults],
        tasks=[
            task("first", "sleep 0.3", list(faults)),
            task("second", "sleep 1", list(faults), rerun=True),
        ],
        provisioner={"strategy": "ssh-fallback"},
        sequence=["create", "converge", "destroy"],
    )
    project.run("test")
    report = project.report()
    assert report.execution_result is not None
    results = {one.host: one for one in report.execution_result.host_results}
    words = {
        "noexec": "/tmp: Permission denied",
        "full": "/tmp: No space left on device",
        "stopped": "could not be pushed",
        "cut": "connection broke while the runner was at work",
    }
    for host, cause in words.items():
        last = results[host].decisions[-1]
        assert last.degraded and cause in last.reasons[0], host
    for host in ("noexec", "stopped", "cut"):
        assert results[host].error is None
        assert [(one.task_id, one.status.tag) for one in results[host].task_results] == [
            ("first", "Success"),
            ("second", "Success"),
        ]
    # Ansible needs room for its own files, and a host: of one that has gone, nobody can tell that its runner has ended.
    assert results["full"].task_results[0].status.tag == "Failed"
    assert not results["killed"].decisions[-1].degraded
    assert "nothing is to be done twice" in (results["killed"].error or "")
    assert outcome(project)[0] in ("failed", "error")
    clean(project)
