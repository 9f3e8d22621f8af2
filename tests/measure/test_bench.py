"""`harness bench`: the binary and Ansible on the same fresh sandboxes behind sshd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import registry
from harness.measure.bench import _differences
from harness.measure.clocks import Sample
from harness.models.bench import BenchReport
from tests.projects import Project, task


def test_tasks_that_ended_otherwise_are_named() -> None:
    ours = Sample(1.0, 1.0, 1.0, outcomes={("node1", "a"): "changed", ("node1", "b"): "ok"})
    theirs = Sample(1.0, 1.0, 1.0, outcomes={("node1", "a"): "failed", ("node1", "b"): "ok"})
    assert _differences(ours, theirs, "ansible") == ["node1: task a: changed by binary, failed by ansible"]


@pytest.mark.cargo
@pytest.mark.sandbox
@pytest.mark.root
@pytest.mark.ssh
@pytest.mark.ansible
@pytest.mark.slow
def test_both_do_the_same_work_on_fresh_platforms(project: Project) -> None:
    if problems := registry.driver("native").diagnose():
        pytest.skip(str(problems[0]))
    project.scenario(
        driver="native",
        platforms=[{"name": name, "connection": "ssh"} for name in ("node1", "node2")],
        tasks=[
            task("fresh", "test ! -e /root/x && touch /root/x", ["node1", "node2"], changed_when=True),
            task("quiet", "true", ["node1", "node2"]),
        ],
        test="def test_it(host):\n    assert host.file('/root/x').exists\n",
    )
    output = Path("bench.json")
    done = project.run("bench", "--repeat", "1", "--hosts", "1,1", "--output", str(output))
    assert done.code == 0, done.text
    report = BenchReport.model_validate(json.loads(output.read_text()))
    [round_] = report.rounds
    assert (round_.hosts, report.repeat, report.tasks) == (1, 1, 2)
    [comparison] = round_.comparisons
    assert comparison.same_work and comparison.differences == []
    assert report.improvement_factor == comparison.improvement_factor > 0
    for contestant in round_.contestants:
        assert 0 < contestant.wall.median <= contestant.process.median
        assert contestant.passage is not None and contestant.passage.bytes_up > 1000 < contestant.passage.bytes_down
        assert {(one.host, one.task_id) for one in contestant.tasks} == {("node1", "fresh"), ("node1", "quiet")}
    assert [one for one in registry.driver("native").instances() if one.project == project.folder] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--against", "ansibl"), "did you mean ansible?"),
        (("--hosts", "3"), "the scenario has 1 platform, fewer than 3"),
        (("--hosts", "x"), "--hosts takes numbers"),
        (("-s", "nonesuch"), "nonesuch"),
        (("--hosts", "1,0"), "--hosts takes numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused_first(project: Project, arguments: tuple[str, ...], words: str) -> None:
    project.scenario()
    done = project.run("bench", *arguments)
    assert done.code == 2
    assert words in done.text
