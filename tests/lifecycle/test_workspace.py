from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.drivers.base import RunId
from harness.errors import HarnessError
from harness.lifecycle.workspace import Workspace, new_run_id


def test_run_ids_are_unique_sortable_and_fit_the_labels() -> None:
    ids = [new_run_id().value for _ in range(500)]
    assert len(set(ids)) == 500
    assert [one[:18] for one in ids] == sorted(one[:18] for one in ids)
    assert all(len(one) <= 32 and one.replace("-", "").isalnum() for one in ids)


def test_old_runs_go_but_not_one_that_lives(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / ".harness")
    workspace.prepare()
    runs = [RunId(f"20260101-00000000{n}-aaaaaaaa") for n in range(5)]
    for run in runs:
        folder = workspace.open_run(run)
        (folder / "01-create.log").write_text("x")
    script = "import sys, time; from pathlib import Path; from harness.lifecycle.locks import Lock; "
    script += "Lock(Path(sys.argv[1])).acquire('test'); print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, str(workspace.run_lock_path(runs[0]))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        living.stdout.readline()
        assert workspace.prune(2) == runs[1:3]
        living.kill()
    assert (workspace.runs / runs[0].value).is_dir()
    assert workspace.prune(2) == runs[:1]
    assert sorted(path.name for path in workspace.runs.iterdir()) == [runs[3].value, runs[4].value, "latest"]
    assert (workspace.runs / "latest").resolve().name == runs[4].value


def test_the_folder_is_out_of_gits_sight(tmp_path: Path) -> None:
    workspace = Workspace.of(tmp_path)
    workspace.prepare()
    assert (tmp_path / ".harness" / ".gitignore").read_text() == "*\n"


def test_a_project_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".harness").write_text("a file")
    with pytest.raises(HarnessError) as caught:
        Workspace.of(tmp_path).prepare()
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint


def test_the_state_of_a_configuration_lies_beside_its_file(tmp_path: Path) -> None:
    config = tmp_path / "e2e.json"
    config.write_text("{}")
    assert Workspace.of(config).root == tmp_path / ".harness"


def test_names_that_differ_have_locks_that_differ(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    paths = {workspace.scenario_lock(name).path for name in ("a/b", "a_b", "a b", "a" * 200, "a" * 201)}
    assert len(paths) == 5
    assert all(path.parent == tmp_path / "locks" for path in paths)
