"""`harness compare` as a person calls it, on real sandboxes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness import registry
from harness.errors import CompileFailed
from harness.models.compare import CompareReport, Difference
from harness.models.runner import PayloadTask
from tests.compare.conftest import Bend, with_args
from tests.projects import Outcome, Project, start, task
from tests.waiting import left_running

pytestmark = [pytest.mark.sandbox, pytest.mark.root, pytest.mark.cargo]

MOTD = {"task_id": "motd", "name": "motd", "module": "copy", "args": {"dest": "/etc/motd", "content": "Welcome\n"}}
TASKS = [
    {**MOTD, "hosts": ["node1"]},
    task("hello", "echo hello; echo again"),
    task("keep", "printf %s stay > /opt/kept", changed_when=True),
    task("fail", "ls /nonesuch; exit 3", ignore_errors=True),
]


@pytest.fixture(autouse=True)
def possible() -> None:
    if problems := registry.driver("native").diagnose():
        pytest.skip(str(problems[0]))


def write(project: Project, tasks: list[dict[str, Any]] | None = None, **keys: Any) -> Path:
    return project.scenario(driver="native", tasks=tasks if tasks is not None else TASKS, test=None, **keys)


def compare(project: Project, *arguments: str) -> tuple[Outcome, CompareReport]:
    output = project.folder / "report.json"
    done = project.run("compare", *arguments, "--output", str(output))
    assert output.exists(), done.text
    report = CompareReport.model_validate_json(output.read_text())
    assert [one for one in registry.driver("native").instances() if one.project == project.folder] == []
    assert project.instances() == []
    return done, report


def told(report: CompareReport) -> set[tuple[str, str, str]]:
    [comparison] = report.comparisons
    return {(one.kind, one.name, one.field) for one in comparison.differences}


def one(report: CompareReport, kind: str, name: str, field: str) -> Difference:
    [found] = [
        one for one in report.comparisons[0].differences if (one.kind, one.name, one.field) == (kind, name, field)
    ]
    return found


def values(difference: Difference) -> tuple[str | None, str | None]:
    return difference.first, difference.second


def test_the_same_twice_is_alike(project: Project) -> None:
    write(project, [*TASKS, task("when", "date; echo $$ >/run/pid; date > /etc/when; mktemp -u", changed_when=True)])
    done, report = compare(project, "--compilers", "reference,reference")
    assert done.code == 0, done.text
    assert report.verdict == "same"
    assert [side.name for side in report.sides] == ["reference #1", "reference #2"]
    [comparison] = report.comparisons
    assert comparison.compared == 5
    assert [times.task_id for times in comparison.times] == ["motd", "hello", "keep", "fail", "when"]
    assert all(times.first is not None and times.second is not None for times in comparison.times)
    assert "ALIKE" in done.out


def bend(task: PayloadTask) -> PayloadTask | None:
    """A compiler that is wrong in many ways."""
    if task.task_id == "motd":
        return with_args(task, content="Wellcome\n", mode="0600")
    if task.task_id == "hello":
        script = "echo hello; echo agin; touch /etc/extra; useradd --no-create-home eve\n" + left_running("sleep 4711")
        return with_args(task, _raw_params=script)
    if task.task_id == "keep":
        return None
    return with_args(task, _raw_params="ls /nonesuch; exit 4")


def test_every_difference_is_told(project: Project, crooked: Callable[[Bend], None]) -> None:
    write(project)
    crooked(bend)
    done, report = compare(project, "--compilers", "reference,crooked")
    assert done.code == 1, done.text
    assert report.verdict == "different"
    assert told(report) >= {
        ("task", "hello", "stdout"),
        ("task", "keep", "status"),
        ("task", "fail", "rc"),
        ("file", "/etc/motd", "mode"),
        ("file", "/etc/motd", "content"),
        ("file", "/etc/extra", "existence"),
        ("file", "/opt/kept", "existence"),
        ("user", "eve", "entry"),
        ("process", "sleep 4711", "running"),
    }
    assert values(one(report, "task", "keep", "status")) == ("changed", None)
    assert values(one(report, "file", "/etc/motd", "mode")) == ("0644", "0600")
    assert one(report, "file", "/etc/motd", "content").detail == "-Welcome\n+Wellcome"
    assert "node1 · task hello" in done.out and "-again" in done.out and "+agin" in done.out


def test_what_the_scenario_allows_does_not_count(project: Project, crooked: Callable[[Bend], None]) -> None:
    allow = [
        {"task": "hel*", "field": "stdout", "reason": "spelling"},
        {"task": "keep", "reason": "left out"},
        {"task": "fail", "field": "stdout", "reason": "nothing"},
        {"field": "result.*", "reason": "the command itself"},
        {"task": "fail", "reason": "another number"},
        {"path": "/etc/*", "host": "node1", "reason": "its files"},
        {"path": "/opt", "reason": "its folder"},
        {"path": "/opt/*", "side": "crooked", "reason": "not there"},
        {"path": "/*", "side": "nobody", "reason": "of another comparison"},
        {"user": "eve", "reason": "its user"},
        {"group": "eve", "reason": "and her group"},
        {"process": "sleep *", "reason": "sleeps"},
    ]
    sides = {"nobody": {"compiler": "reference"}}
    crooked(bend)
    write(project, compare={"allow": allow, "sides": sides})
    done, report = compare(project, "--compilers", "reference,crooked")
    assert done.code == 0, done.text
    [comparison] = report.comparisons
    assert comparison.differences == []
    assert {allowed.reason for allowed in comparison.allowed} >= {"spelling", "left out", "another number", "sleeps"}
    assert [words.split(": ")[1] for words in report.warnings] == ["compare.allow[2]", "compare.allow[6]"]
    assert "nothing was allowed by it (its folder)" in done.out


def test_content_that_only_the_other_has_touched_is_looked_at_on_a_fresh_platform(
    project: Project, crooked: Callable[[Bend], None]
) -> None:
    """Two files of the same length: one is written as it was, the other is not."""
    folder = write(
        project,
        [task("nothing", "true")],
        files={"prepare.sh": "echo 111 > /etc/one; echo 111 > /etc/two; echo 111 > /etc/three\n"},
    )
    assert folder.is_dir()
    crooked(lambda task: with_args(task, _raw_params="echo 111 > /etc/one; echo 222 > /etc/two; rm /etc/three"))
    done, report = compare(project, "--compilers", "reference,crooked")
    assert done.code == 1, done.text
    assert told(report) - {("task", "nothing", "result.cmd")} == {
        ("file", "/etc/two", "content"),
        ("file", "/etc/three", "existence"),
    }
    assert one(report, "file", "/etc/two", "content").detail == "-111\n+222"


def test_a_side_that_cannot_be_run_is_an_error_and_the_other_is_run_all_the_same(
    project: Project, crooked: Callable[[Bend], None]
) -> None:
    def fails(task: PayloadTask) -> PayloadTask:
        raise CompileFailed("the crooked one gives up")

    write(project)
    crooked(fails)
    done, report = compare(project, "--compilers", "crooked,reference")
    assert done.code == 2, done.text
    assert report.comparisons == []
    first, second = report.sides
    assert first.error is not None and "the crooked one gives up" in first.error
    assert second.error is None and second.hosts[0].tasks == 4
    assert "crooked: observe: " in done.out


def test_a_runner_that_dies_is_a_difference(project: Project, crooked: Callable[[Bend], None]) -> None:
    write(project)
    crooked(lambda task: with_args(task, _raw_params="kill -9 $PPID") if task.task_id == "hello" else task)
    done, report = compare(project, "--compilers", "reference,crooked")
    assert done.code == 1, done.text
    end = one(report, "run", "end", "error")
    assert end.first is None and end.second is not None and "ended in task 'hello' without a report" in end.second
    assert ("task", "fail", "status") in told(report)


def test_a_control_run_finds_what_is_never_twice_the_same(project: Project, crooked: Callable[[Bend], None]) -> None:
    random = "head -c 8 /dev/urandom | base64 | tee /etc/random"
    write(project, [task("random", random, changed_when=True), task("hello", "echo hello")])
    crooked(lambda task: with_args(task, _raw_params="echo hallo") if task.task_id == "hello" else task)
    done, report = compare(project, "--compilers", "reference,crooked", "--control")
    assert done.code == 1, done.text
    assert told(report) == {("task", "hello", "stdout"), ("task", "hello", "result.cmd")}
    [rule] = report.comparisons[0].left_out
    assert rule.rule == "not twice the same"
    assert {(one.name, one.field) for one in rule.differences} == {("random", "stdout"), ("/etc/random", "content")}
    assert [side.name for side in report.sides] == ["reference", "reference, again", "crooked"]


def test_no_report_holds_a_secret(
    project: Project, crooked: Callable[[Bend], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_TOKEN", "tell-nobody-4711")
    sleeper = "(sleep 4712 {}; true) </dev/null >/dev/null 2>&1 &"
    write(
        project,
        [task("hide", "echo '{{ secret(\"TOKEN\") }}' > /etc/hidden", changed_when=True)],
        provisioner={"secrets": {"TOKEN": {"env": "THE_TOKEN"}}},
    )
    script = "echo {{ secret('TOKEN') }} more > /etc/hidden; touch /etc/{{ secret('TOKEN') }}; " + sleeper.format(
        "{{ secret('TOKEN') | length }}"
    )
    crooked(lambda task: with_args(task, _raw_params=script))
    done, report = compare(project, "--compilers", "reference,crooked", "-v")
    assert done.code == 1, done.text
    assert ("file", "/etc/********", "existence") in told(report)
    assert values(one(report, "file", "/etc/hidden", "content")) == ("********\n", "******** more\n")
    assert "tell-nobody" not in done.text + (project.folder / "report.json").read_text()


def test_a_runner_that_dies_on_both_sides_proves_nothing(project: Project) -> None:
    write(project, [task("last", "kill -9 $PPID")])
    done, report = compare(project, "--compilers", "reference,reference")
    assert done.code == 2, done.text
    assert report.verdict == "error" and list(report.broken) == ["node1"]
    assert "node1: its run came to its end on no side" in done.out


@pytest.mark.ssh
@pytest.mark.ansible
def test_the_binary_and_ansible_are_alike(project: Project) -> None:
    """Also where a plan begins, and with which umask; what is different on purpose is told, and which way it came."""
    write(
        project,
        [
            {**MOTD, "hosts": ["node1"]},
            task("where", "pwd; umask; echo here > beside", changed_when=True),
            task("who", "test -d /root/.ansible && echo ansible || echo binary"),
        ],
    )
    done, report = compare(project, "--strategies", "binary-only,force-ssh")
    assert done.code == 1, done.text
    assert told(report) == {("task", "who", "stdout")}
    assert [side.hosts[0].method for side in report.sides] == ["binary", "ssh"]
    assert [rule.rule for rule in report.comparisons[0].left_out] == ["Ansible's own files"]


@pytest.mark.parametrize("suffix", ["html", "xml"])
def test_other_reports(project: Project, crooked: Callable[[Bend], None], suffix: str) -> None:
    write(project, compare={"allow": [{"task": "hello", "reason": "it is <b>told</b>"}]})
    crooked(bend)
    output = project.folder / f"report.{suffix}"
    assert project.run("compare", "--compilers", "reference,crooked", "--output", str(output)).code == 1
    text = output.read_text()
    assert "/etc/motd" in text and "<b>told" not in text
    if suffix == "xml":
        root = ElementTree.fromstring(text)
        failed = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
        passed = {case.get("name") for case in root.iter("testcase") if case.find("failure") is None}
        assert {"keep", "fail", "/etc/motd", "eve"} <= failed and passed == {"hello"}
    else:
        assert "it is &lt;b&gt;told" in text and 'class="first">-Welcome' in text


def test_two_at_once_do_not_meet(project: Project) -> None:
    write(project, [task("slow", "sleep 1; ls /tmp")])
    running = [start(project, "compare", "--compilers", "reference,reference") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert project.instances() == []


def test_an_interrupt_leaves_nothing(project: Project) -> None:
    write(project, [task("hang", "sleep 300")])
    with start(project, "compare", "--compilers", "reference,reference", "-v") as process:
        assert process.stdout is not None
        line = ""
        while "running" not in line:
            line = process.stdout.readline()
            assert line, "it ended before the plan ran"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "Traceback" not in rest and "interrupted while reference #1 was run" in rest
    assert project.instances() == []
    assert [one for one in registry.driver("native").instances() if one.project == project.folder] == []
