"""Binaries that do what the contract says, and those that do not: each is a shell script, run for real."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.cancellation import Cancellation
from harness.connections import open_connection
from harness.connections.base import Connection, Process
from harness.connections.local import LocalConnection
from harness.deadline import Deadline
from harness.deploy.binary import BinaryRun, run_binary
from harness.errors import DeployFailed
from harness.models.endpoint import Local
from harness.models.results import CompilationResult, Failed, HostExecutionResult, Skipped, Success
from harness.models.runner import TaskRecord
from harness.secrets import Mask
from tests.waiting import wait_for, with_time_for

START = "2026-01-01T00:00:00Z"


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with open_connection(Local(), name="node1") as opened:
        yield opened


def binary(tmp_path: Path, script: str) -> CompilationResult:
    body = ("#!/bin/sh\n" + script).encode()
    path = tmp_path / "binary"
    path.write_bytes(body)
    return CompilationResult(
        binary_path=path,
        compilation_time=0.0,
        binary_size=len(body),
        cache_hit=True,
        sha256=hashlib.sha256(body).hexdigest(),
        target="x86_64-unknown-linux-gnu",
    )


def task(task_id: str, status: str = "ok", **more: Any) -> str:
    record = {"type": "task", "task_id": task_id, "status": status, "start": START, "duration": 0.01, **more}
    return f"printf '%s\\n' '{json.dumps(record)}'\n"


def report(code: int = 0, *, ok: int = 0, changed: int = 0, failed: int = 0, skipped: int = 0) -> str:
    record = {
        "type": "report", "host": "node1", "plan_id": "p", "payload_sha256": "0" * 64, "ok": ok, "changed": changed,
        "failed": failed, "skipped": skipped, "start": START, "duration": 0.1, "exit_code": code,
    }  # fmt: skip
    return f"printf '%s\\n' '{json.dumps(record)}'\nexit {code}\n"


def run(
    tmp_path: Path, connection: Connection, script: str, *, deadline: float = 30.0, **more: Any
) -> HostExecutionResult:
    job = BinaryRun(host="node1", connection=connection, binary=binary(tmp_path, script), **more)
    return run_binary(job, deadline=Deadline(deadline), cancellation=Cancellation())


def test_every_record_becomes_a_result(tmp_path: Path, connection: Connection) -> None:
    script = (
        task("a", stdout="hello")
        + task("b", "changed")
        + task("c", "skipped", skip_reason="Conditional result was False: x")
        + task("d", "failed", msg="no", ignored=True, rc=3)
        + report(ok=1, changed=1, skipped=1)
    )
    seen: list[TaskRecord] = []
    result = run(tmp_path, connection, script, on_record=seen.append)
    assert result.error is None
    assert [one.status for one in result.task_results] == [
        Success(), Success(), Skipped(reason="Conditional result was False: x"), Failed(error="no"),
    ]  # fmt: skip
    assert [one.changed for one in result.task_results] == [False, True, False, False]
    assert result.task_results[0].output == "hello"
    assert (result.task_results[3].ignored, result.task_results[3].rc) == (True, 3)
    assert [record.task_id for record in seen] == ["a", "b", "c", "d"]
    assert result.deployment_method == "binary"


def test_a_failed_task_is_no_failure_of_the_host(tmp_path: Path, connection: Connection) -> None:
    result = run(tmp_path, connection, task("a", "failed", msg="no") + report(1, failed=1))
    assert result.error is None
    assert result.task_results[0].status == Failed(error="no")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no such host' >&2; exit 2\n", "the runner could not start\nno such host"),
        (task("a") + "kill -9 $$\n", "ended without a report (killed by signal 9)"),
        (task("a") + 'echo \'{"type":"start","task_id":"b"}\'; exit 1\n', "ended in task 'b' without a report"),
        (task("a") + "echo garbage\n" + report(ok=1), "a line that is no JSON: garbage"),
        (task("a") + 'echo \'{"type":"news"}\'\n' + report(ok=1), "a record of an unknown type"),
        (task("a", "splendid") + report(), "a record with wrong fields"),
        (task("a") + report(ok=2), "says 2 tasks ok, but it wrote 1"),
        (task("a") + report(ok=1).replace("exit 0", "exit 1"), "exit status 1 disagrees"),
        (task("a", "failed") + report(failed=1), "exit status 0 disagrees"),
        (report().replace("exit 0", task("late") + "exit 0"), "a line after the report"),
        (r"""echo '{"type": "log", "text": "\ud800"}'""" + "\n" + report(), "a line that is no JSON"),
        ("printf '[%.0s' $(seq 200000); echo\n" + report(), "a line that is no JSON"),
        ("exit 0\n", "ended without a report (exit status 0)"),
    ],
)
def test_a_runner_that_breaks_its_contract_fails_the_host_in_words(
    tmp_path: Path, connection: Connection, script: str, words: str
) -> None:
    result = run(tmp_path, connection, script)
    assert result.error is not None
    assert words in result.error


def test_a_runner_that_dies_keeps_its_finished_records(tmp_path: Path, connection: Connection) -> None:
    result = run(tmp_path, connection, task("a") + task("b", "changed") + "kill -9 $$\n")
    assert [one.task_id for one in result.task_results] == ["a", "b"]
    assert result.error


def test_it_runs_from_a_private_folder_that_goes_afterwards(tmp_path: Path, connection: Connection) -> None:
    script = 'stat -c "%a %n" "$(dirname "$0")" > $OUT; pwd >> $OUT; echo "$@" >> $OUT\n' + report()
    out = tmp_path / "out"
    run(tmp_path, connection, script, env={"OUT": str(out)}, arguments=("--tags", "a"))
    mode_and_folder, cwd, arguments = out.read_text().splitlines()
    mode, _, folder = mode_and_folder.partition(" ")
    assert mode == "700"
    assert not Path(folder).exists()
    assert cwd == str(Path.home()), "where Ansible's modules begin, too"
    assert arguments == "--host node1 --tags a"


def test_secrets_come_by_stdin_and_never_come_back(tmp_path: Path, connection: Connection) -> None:
    out = tmp_path / "frame"
    script = 'cat > "$OUT"; ps ww -o args= $$ >> "$OUT.args"; env >> "$OUT.args"\n'
    script += task("a", msg="the token is s3cr3t-value", result={"s3cr3t-value": "s3cr3t-value"}) + report(ok=1)
    secrets = {"TOKEN": "s3cr3t-value"}
    result = run(tmp_path, connection, script, env={"OUT": str(out)}, secrets=secrets, mask=Mask(secrets.values()).tree)
    frame = out.read_bytes()
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert json.loads(frame[4:]) == secrets
    assert "s3cr3t-value" not in Path(f"{out}.args").read_text()
    assert result.error is None
    assert "s3cr3t-value" not in result.model_dump_json()


def test_a_hanging_runner_is_killed_at_the_deadline_with_its_children(tmp_path: Path, connection: Connection) -> None:
    pid_file = tmp_path / "pid"
    script = task("a") + f"sleep 300 & echo $! > {pid_file}\n" + 'echo \'{"type":"start","task_id":"b"}\'\nwait\n'
    begun = tmp_path / "begun"

    def go(seconds: float) -> HostExecutionResult:
        return run(tmp_path, connection, script, deadline=seconds, on_start=lambda _: begun.touch())

    result = with_time_for(begun, go)
    assert result.error is not None
    assert re.match(r"not done after [\d.]+ s in task 'b'", result.error)
    assert [one.task_id for one in result.task_results] == ["a"]
    assert_gone(int(pid_file.read_text()))


def test_a_called_off_runner_is_killed_at_once(tmp_path: Path, connection: Connection) -> None:
    cancellation = Cancellation()
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}.part; mv {pid_file}.part {pid_file}; sleep 300\n"
    job = BinaryRun(host="node1", connection=connection, binary=binary(tmp_path, script))

    def call_off() -> None:
        try:
            wait_for(pid_file.exists, 50)
        finally:
            cancellation.call()

    thread = threading.Thread(target=call_off)
    thread.start()
    result = run_binary(job, deadline=Deadline(60), cancellation=cancellation)
    thread.join()
    assert result.error is not None
    assert_gone(int(pid_file.read_text()))


class Flipping(LocalConnection):
    """A way on which one bit is turned over."""

    def start(self, command: Any, **options: Any) -> Process:
        process = super().start(command, **options)
        honest = process.write

        def write(data: bytes) -> None:
            honest(data[:20] + bytes([data[20] ^ 1]) + data[21:] if len(data) > 20 else data)

        process.write = write  # type: ignore[method-assign]
        return process


def test_a_bit_that_turns_over_on_the_way(tmp_path: Path) -> None:
    out = tmp_path / "ran"
    with Flipping(Local(), "node1") as connection, pytest.raises(DeployFailed, match="arrived damaged"):
        run(tmp_path, connection, f"touch {out}\n")
    assert not out.exists()


@pytest.mark.parametrize("bare", [False, True], ids=["checked there", "checked here"])
def test_a_host_that_writes_something_else_to_its_disk(tmp_path: Path, connection: Connection, bare: bool) -> None:
    """`head` is its own; and where there is no program for checksums, the file is fetched back. No mktemp either."""
    tools, out = tmp_path / "tools", tmp_path / "ran"
    tools.mkdir()
    more = ("od", "mkdir") if bare else ("mktemp", "sha256sum")
    for name in ("sh", "printf", "cat", "chmod", "rm", "wc", "tr", "touch", "setsid", "env", "dirname", *more):
        (tools / name).symlink_to(str(shutil.which(name)))
    head = tools / "head"
    head.write_text(f'#!/bin/sh\n{shutil.which("head")} "$@" | {shutil.which("sed")} s/innocent/tampered/\n')
    head.chmod(0o755)
    script = f"touch {out}.innocent\n" + report()
    with pytest.raises(DeployFailed, match="arrived damaged"):
        run(tmp_path, connection, script, env={"PATH": str(tools)})
    assert not list(tmp_path.glob("ran*"))
    head.unlink()
    head.symlink_to(str(shutil.which("head")))
    assert run(tmp_path, connection, script, env={"PATH": str(tools)}).error is None
    assert Path(f"{out}.innocent").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_very_same_binary_is_not_pushed_again_and_not_believed_either(
    tmp_path: Path, connection: Connection
) -> None:
    connection.kept = {}
    out, told = tmp_path / "ran", list[str]()
    script = f"cat >>{out}.frames; echo once >>{out}\n" + report()
    more: dict[str, Any] = {"on_event": told.append, "secrets": {"TOKEN": "x"}}
    assert run(tmp_path, connection, script, **more).error is None
    assert told[0].startswith("pushed")
    told.clear()
    assert run(tmp_path, connection, script, **more).error is None
    assert "is there already" in told[0]
    [folder] = connection.kept.values()
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    (Path(folder) / "runner").write_text(f"#!/bin/sh\ntouch {out}.tampered\n")
    told.clear()
    assert run(tmp_path, connection, script, **more).error is None
    assert told[0].startswith("pushed")
    assert not Path(f"{out}.tampered").exists()
    assert not Path(folder).exists()
    assert out.read_text() == "once\n" * 3
    assert Path(f"{out}.frames").read_bytes() == (b"\0\0\0\x0e" + b'{"TOKEN": "x"}') * 3


def test_a_full_disk(tmp_path: Path, connection: Connection) -> None:
    limited = "ulimit -f 1"  # a file of 512 bytes: the folder's probe fits, the binary does not
    job = BinaryRun(host="node1", connection=connection, binary=binary(tmp_path, "#" * 9000))
    honest = connection.start

    def start(command: Any, **options: Any) -> Process:
        return honest(f"{limited}\ntrap '' XFSZ\n{command}", **options)

    connection.start = start  # type: ignore[method-assign]
    with pytest.raises(DeployFailed, match=r"could not be pushed: .*File too large"):
        run_binary(job, deadline=Deadline(30), cancellation=Cancellation())
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_binary_that_has_gone_is_a_failed_push(tmp_path: Path, connection: Connection) -> None:
    compiled = binary(tmp_path, "exit 0\n")
    compiled.binary_path.unlink()
    job = BinaryRun(host="node1", connection=connection, binary=compiled)
    with pytest.raises(DeployFailed, match=r"node1: the binary .* could not be pushed"):
        run_binary(job, deadline=Deadline(30), cancellation=Cancellation())


def test_a_host_without_a_folder_to_run_in_says_so(tmp_path: Path) -> None:
    class Nowhere(LocalConnection):
        def start(self, command: Any, **options: Any) -> Process:
            return super().start(f"mktemp() {{ echo no >&2; return 1; }}\n{command}", **options)

    with (
        Nowhere(Local(), "node1") as connection,
        pytest.raises(DeployFailed, match="no folder for the binary") as caught,
    ):
        run(tmp_path, connection, "exit 0\n")
    assert "noexec" in (caught.value.hint or "")


def assert_gone(pid: int) -> None:
    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_for(ended)
