"""Runners that are not ours, and the many ways in which they do not tell what they did: shell scripts, run for real."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cancellation import Cancellation
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy import collector
from harness.deploy.binary import BinaryRun, run_binary
from harness.errors import DeployFailed
from harness.models.config import BinaryOnly, SSHFallback
from harness.models.endpoint import Local
from harness.models.results import CompilationResult, Failed, HostExecutionResult, ResultsBy, Success
from harness.models.runner import Payload, PayloadPlay, PayloadTask, TaskRecord
from harness.secrets import Mask
from tests.deploy.hosts import Hosts, hosts, means
from tests.waiting import with_time_for

PATH = "/0123abcd"
POST = """#!/bin/bash
send() {
    exec 3<>/dev/tcp/127.0.0.1/PORT
    printf '%b' "$1" >&3; printf '%s' "$2" >&3
    read -r _ status _ <&3; echo "answered $status"; exec 3>&-
}
post() { send "POST ${2:-PATH} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: ${#1}\\r\\n\\r\\n" "$1"; }
"""
PAYLOAD = Payload(
    plan_id="p",
    run_on=["node1"],
    hosts={"node1": {}},
    plays=[
        PayloadPlay(
            tasks=[
                PayloadTask(task_id="first", name="The first", module="command"),
                PayloadTask(task_id="second", module="file"),
                PayloadTask(task_id="perhaps", module="file", when=["x"]),
            ]
        )
    ],
)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with open_connection(Local(), name="node1") as opened:
        yield opened


def binary(folder: Path, script: str, port: int, results: ResultsBy = "report") -> CompilationResult:
    body = (POST.replace("PORT", str(port)).replace("PATH", PATH) + script).encode()
    (folder / "binary").write_bytes(body)
    return CompilationResult(
        binary_path=folder / "binary",
        compilation_time=0.0,
        binary_size=len(body),
        cache_hit=True,
        sha256=hashlib.sha256(body).hexdigest(),
        target="x86_64-unknown-linux-gnu",
        results=results,
        report_url=f"http://127.0.0.1:{port}{PATH}" if results == "report" else None,
    )


def task(task_id: str, *, changed: bool = False, failed: bool = False, **more: Any) -> dict[str, Any]:
    result = {"changed": changed, "failed": failed, "msg": None, "stdout": None, "stderr": None, "rc": None, **more}
    return {
        "task_id": task_id,
        "module_result": {**result, "results": {"path": "/x"}},
        "start_time": {"secs_since_epoch": 1_790_000_000, "nanos_since_epoch": 5},
        "duration": {"secs": 1, "nanos": 500_000_000},
    }


def report(*tasks: dict[str, Any], success: bool = True) -> str:
    plays = [{"play_id": "p", "success": success, "task_results": list(tasks)}]
    body = {"success": success, "results": plays, "execution_time": {"secs": 2, "nanos": 0}}
    return f"'{json.dumps(body)}'"


def run(connection: Connection, made: CompilationResult, *, seconds: float = 20.0, **more: Any) -> HostExecutionResult:
    job = BinaryRun(host="node1", connection=connection, binary=made, payload=PAYLOAD, **more)
    return run_binary(job, deadline=Deadline(seconds), cancellation=Cancellation())


GOOD = report(task("first", changed=True, rc=0, stdout="token s3cret-value"), task("second"))


def test_a_report_becomes_the_records_of_a_runner(connection: Connection, tmp_path: Path, port: int) -> None:
    heard: list[TaskRecord] = []
    lines: list[str] = []
    mask = Mask(["s3cret-value"])
    made = binary(tmp_path, f"echo begins; post {GOOD}", port)
    result = run(connection, made, on_record=heard.append, on_line=lines.append, mask=mask.tree)
    assert result.error is None
    assert result.results == "report"
    first, second = result.task_results
    assert (first.task_id, first.name, first.module) == ("first", "The first", "command")
    assert (first.status, first.changed, first.rc) == (Success(), True, 0)
    assert first.execution_time == 1.5
    assert first.output == "token ********"
    assert (second.status, second.changed) == (Success(), False)
    assert heard[0].start.startswith("2026-09-21T")
    assert heard[0].result == {"path": "/x"}
    assert lines == ["begins", "answered 200"]


def test_one_that_ends_before_its_report_was_read_is_heard(connection: Connection, tmp_path: Path, port: int) -> None:
    """Megabytes lie in the kernel's buffers when it ends, and it waits for no answer."""
    before, _, after = report(task("first", stdout="FILLER"), task("second")).strip("'").partition("FILLER")
    size = 3 << 20
    head = f"POST {PATH} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {len(before) + size + len(after)}\\r\\n\\r\\n"
    script = (
        f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{head}' >&3; printf %s '{before}' >&3\n"
        f"head -c {size} /dev/zero | tr '\\0' x >&3; printf %s '{after}' >&3\n"
    )
    result = run(connection, binary(tmp_path, script, port))
    assert result.error is None
    assert [one.task_id for one in result.task_results] == ["first", "second"]


WRONG = {
    "no report": ("echo here I stand", r"brought no report .*\(exit status 0\)\nhere I stand"),
    "no report, and says why": ("echo oh dear >&2; exit 3", r"brought no report .*\(exit status 3\)\noh dear"),
    "dies": ("kill -SEGV $$", r"brought no report .*\(killed by signal 11\)"),
    "deletes itself": ('rm "$0"', r"brought no report .*\(exit status 0\)\nit had deleted itself"),
    "malformed": ("post '{\"success\": 1'; exit 1", r"brought no report .*\nit posted a malformed report: "),
    "wrong fields": ("post '{\"success\": true}'", r"posted a malformed report: results: Field required"),
    "too long": (
        f"send 'POST {PATH} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 99999999999\\r\\n\\r\\n' ''",
        r"posted a report of 99999999999 bytes, where \d+ are taken(.|\n)*answered 413",
    ),
    "longer than a number": (
        f"send 'POST {PATH} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {'9' * 5000}\\r\\n\\r\\n' ''",
        r"posted a report of 9{20} bytes",
    ),
    "not within its time": (
        f"post {report({**task('first'), 'start_time': {'secs_since_epoch': 10**400}})}",
        r"has no result of second",
    ),
    "no length": (f"send 'POST {PATH} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' '{{}}'", r"a report without a Content-Length"),
    "elsewhere": ("post '{}' /other", r"brought no report (.|\n)*somebody asked for POST /other"),
    "twice": (f"post {GOOD}; post {GOOD}", r"cannot be relied on\nit posted a second report"),
    "a status that disagrees": (f"post {GOOD}; exit 1", r"exit status 1 disagrees with its report \(success: true\)"),
    "a failed task in a success": (
        f"post {report(task('first', failed=True), task('second'))}",
        r"says success: true, but of its tasks failed: first",
    ),
    "a failure of nothing": (f"post {report(task('first'), task('second'), success=False)}; exit 1", r"failed: none"),
    "a task too few": (f"post {report(task('first'))}", r"has no result of second, and says success"),
    "a task too many": (
        f"post {report(task('first'), task('second'), task('third'))}",
        r"a task 'third' that its plan",
    ),
    "a task again": (f"post {report(task('first'), task('first'), task('second'))}", r"of the task 'first' 2 times"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(connection: Connection, tmp_path: Path, port: int, name: str) -> None:
    import re

    script, words = WRONG[name]
    result = run(connection, binary(tmp_path, script, port))
    assert result.error is not None
    assert re.search(words, result.error), result.error


def test_a_task_that_failed(connection: Connection, tmp_path: Path, port: int) -> None:
    """What follows it need not have run, and the host as such is well."""
    told = report(task("first", failed=True, msg="no such thing"), success=False)
    result = run(connection, binary(tmp_path, f"post {told}; exit 1", port))
    assert result.error is None
    assert [one.status for one in result.task_results] == [Failed(error="no such thing")]


def test_one_that_hangs_is_ended_in_its_platform(connection: Connection, tmp_path: Path, port: int) -> None:
    marker = tmp_path / "alive"
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; while :; do date >{marker}; sleep 0.05; done"
    made = binary(tmp_path, script, port)
    result = with_time_for(marker, lambda seconds: run(connection, made, seconds=seconds))
    assert result.error is not None
    assert "not done after" in result.error
    assert "the runner was killed" in result.error
    marker.unlink()
    time.sleep(0.3)
    assert not marker.exists()


def test_a_port_that_another_has_is_waited_for(connection: Connection, tmp_path: Path, port: int) -> None:
    events: list[str] = []
    made = binary(tmp_path, f"post {GOOD}", port)
    with socket.create_server(("127.0.0.1", port)) as other:

        def hear(words: str) -> None:
            events.append(words)
            if words.startswith("waiting"):
                other.close()

        assert run(connection, made, on_event=hear).error is None
    assert f"waiting for port {port}, on which somebody else listens" in events
    with socket.create_server(("127.0.0.1", port)), pytest.raises(DeployFailed, match="cannot be heard"):
        run(connection, made, seconds=1.0)


def test_only_so_many_are_heard_at_once(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listening, collector.Collector(listening, PATH):
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(collector._AT_ONCE + 1)]
        clients[-1].settimeout(10)
        assert clients[-1].recv(1) == b""
    clients[0].settimeout(10)
    assert clients[0].recv(1) == b"", "nobody is heard any more"
    for client in clients:
        client.close()


def test_by_its_exit_status_alone(connection: Connection, tmp_path: Path) -> None:
    result = run(connection, binary(tmp_path, 'test $# = 0 || exit 9; echo "as you wish"', 0, "exit-status"))
    assert result.error is None
    assert result.results == "exit-status"
    assert [one.task_id for one in result.task_results] == ["first", "second"], "nobody knows of the conditional one"
    result = run(connection, binary(tmp_path, "echo I will not; exit 4", 0, "exit-status"))
    assert result.error == "the runner ended: exit status 4\nI will not"
    assert result.task_results == []


@pytest.mark.sandbox
def test_each_platform_is_heard_by_itself(tmp_path: Path, port: int) -> None:
    """Two platforms, one address, both at once, and neither has a network."""
    script = f'test "$(hostname)" = web1 && post {GOOD} || post {report(task("first", failed=True), success=False)}'
    with hosts(tmp_path, "web1", "web2") as platforms:
        deployed = _deploy(platforms, binary(tmp_path, f"{script}\ntest $(hostname) = web1", port), tmp_path)
    assert {host: result.error for host, result in deployed.items()} == {"web1": None, "web2": None}
    assert [one.status for one in deployed["web1"].task_results] == [Success(), Success()]
    assert [type(one.status) for one in deployed["web2"].task_results] == [Failed]


def _deploy(platforms: Hosts, made: CompilationResult, folder: Path) -> dict[str, HostExecutionResult]:
    from dataclasses import replace

    plan = folder / "plan.json"
    work = {"module": "shell", "args": {"cmd": "true"}}
    tasks = [{"task_id": "first", "name": "The first", **work}, {"task_id": "second", **work}]
    plays = [{"play_id": "p", "batches": [{"batch_id": "b", "tasks": tasks}]}]
    plan.write_text(json.dumps({"metadata": {}, "hosts": list(platforms.connections), "plays": plays}))
    tools = means(deadline=30)
    deployed = platforms.run(plan, BinaryOnly(), tools, change=lambda work: replace(work, binary=made, parts=False))
    assert not deployed.failed
    return deployed.results


@pytest.mark.sandbox
@pytest.mark.ansible
def test_what_began_unheard_is_not_begun_again(tmp_path: Path, port: int) -> None:
    """With ssh-fallback: nobody knows what it did, so that Ansible does not do it a second time."""
    from dataclasses import replace

    made = binary(tmp_path, "echo x >>/srv/began", port)
    plan = tmp_path / "plan.json"
    body = {"task_id": "first", "module": "shell", "args": {"cmd": "echo y >>/srv/began"}}
    plays = [{"play_id": "p", "batches": [{"batch_id": "b", "tasks": [body]}]}]
    plan.write_text(json.dumps({"metadata": {}, "hosts": ["web1"], "plays": plays}))
    with hosts(tmp_path, "web1") as platforms:
        change = lambda work: replace(work, binary=made, parts=False)  # noqa: E731
        deployed = platforms.run(plan, SSHFallback(), means(deadline=60), change=change)
        assert platforms.connections["web1"].read("/srv/began") == b"x\n"
    error = deployed.results["web1"].error
    assert error is not None
    assert "brought no report" in error
    assert "SSH cannot go on from there" in error
