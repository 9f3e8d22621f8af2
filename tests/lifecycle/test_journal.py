from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from harness.drivers.base import InstanceRecord, PlatformSpec, RunId
from harness.errors import HarnessError
from harness.lifecycle.journal import Journal, spec_digest
from harness.models.results import HostExecutionResult, StepResult

RUN = RunId("20260101-000000000-aaaaaaaa")
NODE = PlatformSpec("node1", "fake")


def record(platform: str = "node1", run: RunId = RUN) -> InstanceRecord:
    return InstanceRecord("fake", f"id-{platform}", platform, "default", Path("/p"), run, True, detail={"pid": "7"})


def test_an_instance_is_known_before_it_is_created_and_is_kept_only_afterwards(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "harness.db") as journal:
        journal.creating(RUN, "default", [NODE])
        assert [row.status for row in journal.instances()] == ["creating"]
        assert journal.kept("default") == {}
        journal.created([record()], keep=True)
        row = journal.kept("default")["node1"]
    assert (row.id, row.detail, row.keep, row.prepared, row.converged_run) == (
        "id-node1",
        {"pid": "7"},
        True,
        False,
        None,
    )
    assert row.record(Path("/p")).id == "id-node1"


def test_what_is_half_destroyed_is_no_longer_kept(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "harness.db") as journal:
        journal.creating(RUN, "default", [NODE])
        journal.created([record()], keep=True)
        journal.destroying(RUN, "default", "node1")
        assert journal.kept("default") == {}
        assert [(row.status, row.keep) for row in journal.instances()] == [("destroying", False)]
        journal.destroyed(RUN, "default", "node1")
        assert journal.instances() == []


def test_of_two_kept_instances_of_a_platform_the_newest_counts(tmp_path: Path) -> None:
    later = RunId("20260102-000000000-bbbbbbbb")
    with Journal.open(tmp_path / "harness.db") as journal:
        for run in (RUN, later):
            journal.creating(run, "default", [NODE])
            journal.created([record(run=run)], keep=True)
        assert journal.kept("default")["node1"].run == later
        assert len(journal.instances("default")) == 2


def test_results_that_a_kept_instance_refers_to_survive_the_forgetting_of_their_run(tmp_path: Path) -> None:
    other = RunId("20260101-000000001-cccccccc")
    result = HostExecutionResult(host="node1", task_results=[], deployment_method="binary", execution_time=0.5)
    with Journal.open(tmp_path / "harness.db") as journal:
        for run in (RUN, other):
            journal.begin_run(run, "default", "converge")
            journal.save_result(run, result)
        journal.creating(RUN, "default", [NODE])
        journal.created([record()], keep=True)
        journal.converged(RUN, "default", "node1", by=RUN, plan="digest")
        journal.forget_runs([RUN, other])
        assert journal.result(RUN, "node1") == result
        assert journal.result(other, "node1") is None
        assert [row.run for row in journal.runs()] == [RUN]


def test_a_run_without_an_end_is_told(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "harness.db") as journal:
        journal.begin_run(RUN, "default", "test")
        journal.record_step(RUN, 1, 0.0, StepResult(step="create", outcome="passed", duration=0.1))
        assert [row.run for row in journal.unfinished_runs()] == [RUN]
        journal.end_run(RUN, "passed")
        assert journal.unfinished_runs() == []
        assert journal.runs("default")[0].outcome == "passed"


def test_groups_do_not_make_another_platform_but_an_image_does() -> None:
    assert spec_digest(NODE) == spec_digest(PlatformSpec("node1", "fake", groups=("web",)))
    assert spec_digest(NODE) != spec_digest(PlatformSpec("node1", "fake", image="debian-12"))


@pytest.mark.parametrize(
    "content", [b"this is no database, whatever its name says" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_damaged_journal_is_an_error_with_a_cure(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "harness.db"
    path.write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        Journal.open(path)
    assert str(path) in caught.value.message
    assert "mv " in (caught.value.hint or "")


def test_a_strangers_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "harness.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (x)")
        connection.commit()
    with pytest.raises(HarnessError, match="runs"):
        Journal.open(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "harness.db"
    Journal.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE schema_version SET version = 999")
        connection.commit()
    for open_it in (Journal.open, Journal.open_for_reading):
        with pytest.raises(HarnessError, match="newer harness") as caught:
            open_it(path)
        assert "upgrade" in (caught.value.hint or "")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError) as caught:
        Journal.open(tmp_path / "file" / "harness.db")
    assert caught.value.hint


def test_looking_writes_nothing(tmp_path: Path) -> None:
    with Journal.open_for_reading(tmp_path / ".harness" / "harness.db") as journal:
        assert journal.instances() == []
    assert list(tmp_path.iterdir()) == []


_WRITER = """
import sys
from pathlib import Path
from harness.drivers.base import PlatformSpec, RunId
from harness.lifecycle.journal import Journal
with Journal.open(Path(sys.argv[1])) as journal:
    for number in range(int(sys.argv[3])):
        run = RunId(f"{sys.argv[2]}-{number}")
        journal.begin_run(run, "default", "test")
        journal.creating(run, "default", [PlatformSpec("node1", "fake")])
        print(number, flush=True)
"""


def test_processes_write_side_by_side_from_the_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "harness.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), f"w{n}", "25"], stdout=subprocess.DEVNULL)
        for n in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    with Journal.open(path) as journal:
        assert len(journal.runs()) == len(journal.instances()) == 100


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "harness.db"
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), "w", "100000"], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 50:
                os.kill(writer.pid, signal.SIGKILL)
                break
    with Journal.open(path) as journal:
        names = {row.run.value for row in journal.instances()}
    assert {f"w-{number}" for number in range(51)} <= names
