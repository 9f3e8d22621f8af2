"""harness compile, as a user calls it, with the real runner."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.compile import host_target
from harness.compile.embed import TRAILER, extract
from harness.compile.inspect import inspect
from harness.compile.reference import ReferenceCompiler
from harness.compile.targets import TARGETS, known_target

MISSING = ReferenceCompiler().diagnose(host_target())
needs_toolchain = pytest.mark.skipif(bool(MISSING), reason="; ".join(map(str, MISSING)))


def task(number: int, hosts: list[str], **more: Any) -> dict[str, Any]:
    return {"task_id": f"t{number}", "module": "debug", "args": {"msg": f"number {number}"}, "hosts": hosts, **more}


def write_plan(path: Path, tasks: list[dict[str, Any]], hosts: list[str]) -> Path:
    batch = {"batch_id": "b", "hosts": hosts, "tasks": tasks}
    plan = {
        "metadata": {"created_at": "2026-01-01T00:00:00Z", "rustle_plan_version": "0.1.0"},
        "plays": [{"play_id": "p", "name": "p", "batches": [batch]}],
        "hosts": hosts,
        "total_tasks": len(tasks),
    }
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


@pytest.fixture
def same(tmp_path: Path) -> Path:
    """Both hosts do the same."""
    return write_plan(tmp_path / "same.json", [task(1, ["node1", "node2"])], ["node1", "node2"])


@pytest.fixture
def different(tmp_path: Path) -> Path:
    tasks = [task(1, ["node1", "node2", "node3"]), task(2, ["node2"])]
    return write_plan(tmp_path / "different.json", tasks, ["node1", "node2", "node3"])


def harness(*argv: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "compile", *argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


@pytest.mark.cargo
@needs_toolchain
def test_one_slice_is_one_static_file_that_checks_itself(same: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "runner"
    result = harness(same, "-o", output)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(output)]
    assert "node1, node2" in result.stderr
    assert stat.S_IMODE(output.stat().st_mode) == 0o755
    assert [path.name for path in output.parent.iterdir()] == ["runner"]

    verified = subprocess.run([output, "--verify"], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stderr
    record = json.loads(verified.stdout)
    assert record["run_on"] == ["node1", "node2"]
    assert record["payload_sha256"] == output.read_bytes()[-48:-16].hex()
    assert json.loads(extract(output) or b"")["plan_id"] == record["plan_id"]

    facts = inspect(output)
    target = known_target(host_target())
    assert (facts.os, facts.arch) == (target.os, target.arch)
    assert facts.static == target.static
    assert facts.stripped
    # No path of the machine that compiled it travels with it.
    for private in (str(Path.home()), str(Path(__file__).parents[2])):
        assert f"{private}/".encode() not in output.read_bytes()


@pytest.mark.cargo
@needs_toolchain
@pytest.mark.parametrize("place", [-TRAILER - 20, -1, -TRAILER, -40])
def test_a_damaged_binary_refuses_to_start(same: Path, tmp_path: Path, place: int) -> None:
    binary = tmp_path / "runner"
    assert harness(same, "-o", binary).returncode == 0
    content = bytearray(binary.read_bytes())
    content[place] ^= 1
    binary.write_bytes(content)
    ended = subprocess.run([binary, "--verify"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr


@pytest.mark.cargo
@needs_toolchain
def test_several_slices_go_into_a_folder(different: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = harness(different, "-o", folder, "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert [one["run_on"] for one in told] == [["node1", "node3"], ["node2"]]
    assert [Path(one["binary_path"]) for one in told] == [folder / told[0]["sha256"][:12], folder / "node2"]
    assert told[0]["target"] == host_target()
    assert set(told[0]["compilation_time"]) == {"secs", "nanos"}
    assert told[1]["binary_size"] == (folder / "node2").stat().st_size
    again = json.loads(harness(different, "--json").stdout)
    assert all(one["cache_hit"] for one in again)
    assert [one["sha256"] for one in again] == [one["sha256"] for one in told]

    (tmp_path / "file").touch()
    refused = harness(different, "-o", tmp_path / "file")
    assert refused.returncode == 2
    assert "name a folder" in refused.stderr


def test_the_plan_is_not_overwritten(same: Path) -> None:
    before = same.read_bytes()
    result = harness(same, "-o", same)
    assert result.returncode == 2
    assert "is the plan itself" in result.stderr
    assert same.read_bytes() == before


def test_all_that_is_wrong_is_told_and_nothing_is_compiled(tmp_path: Path) -> None:
    tasks = [task(1, ["node1"], module="no_such_module"), task(2, ["node1"], args={"message": "x"})]
    plan = write_plan(tmp_path / "plan.json", tasks, ["node1"])
    result = harness(plan, "-o", tmp_path / "out", HARNESS_CACHE_DIR=str(tmp_path / "cache"))
    assert result.returncode == 2
    assert "plays[0].batches[0].tasks[0].module" in result.stderr
    assert "plays[0].batches[0].tasks[1].args" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json"]


def test_a_target_that_is_not_known_or_not_possible_here(same: Path) -> None:
    misspelt = harness(same, "--target", "x86_64-unknown-linux-gun")
    assert misspelt.returncode == 2
    assert "did you mean x86_64-unknown-linux-gnu" in misspelt.stderr
    other = next(target for target in TARGETS.values() if target.os != known_target(host_target()).os)
    impossible = harness(same, "--target", other.triple)
    assert impossible.returncode == 2
    assert "would need" in impossible.stderr


def test_no_toolchain_and_an_empty_cache(same: Path, tmp_path: Path) -> None:
    env = {"PATH": "", "CARGO_HOME": str(tmp_path), "HARNESS_CACHE_DIR": str(tmp_path / "cache")}
    result = harness(same, **env)
    assert result.returncode == 2
    assert "cargo with rustc is not on PATH" in result.stderr
    assert "install Rust" in result.stderr


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    result = harness(tmp_path / "none.json")
    assert result.returncode == 2
    assert "none.json" in result.stderr
    assert "Traceback" not in result.stderr
