"""harness plan"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.cli import group
from harness.cli.outcome import run
from harness.plan import dependency_graph, read_plan
from harness.plan.render import graph_dot, graph_mermaid, graph_text
from tests.plan.conftest import newer, task

Write = Callable[[Any], Path]


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


Harness = Callable[..., Ended]


@pytest.fixture
def harness(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Harness:
    """The verb as the console script calls it, in this process: what it prints and how it ends."""

    def call(*args: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["harness", "plan", *map(str, args)])
        status = run(group)
        out, err = capsys.readouterr()
        return Ended(int(status), out, err)

    return call


@pytest.fixture
def good(write: Write) -> Path:
    plan = newer(
        task("first", name='Say "hi" [bold]', args={"msg": "x"}, notify=["Later"]),
        task("second", dependencies=["first"], when="a", loop=[1, 2], tags=["t"], hosts=["web1"]),
        handlers=[{"handler_id": "h", "name": "Later", "module": "debug", "args": {"msg": "y"}, "listen": "topic"}],
        metadata={"plan_id": "mine"},
    )
    return write(plan)


def test_validate(harness: Harness, good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    ended = harness("validate", good, bad)
    assert ended.returncode == 2
    assert ended.stdout == f"valid {good}: 2 tasks, 2 hosts\n"
    assert "bad.json:1:2" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert harness("validate", good).returncode == 0


def test_a_process_of_its_own_ends_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "plan", "validate", str(tmp_path / "missing.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "missing.json: cannot be read: No such file or directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_validate_for_programs(harness: Harness, write: Write) -> None:
    ended = harness("validate", "--json", write(newer(task("a", "flie"), task("b", dependencies=["c"]))))
    assert ended.returncode == 2
    (found,) = json.loads(ended.stdout)
    assert not found["valid"]
    assert [error["where"].partition(": ")[2] for error in found["errors"]] == [
        "plays[0].batches[0].tasks[1].dependencies[0]",
        "plays[0].batches[0].tasks[0].module",
    ]
    assert "did you mean file?" in found["errors"][1]["message"]


def test_warnings_fail_only_when_strict(harness: Harness, write: Write) -> None:
    path = write(newer(task("t", args={"msg": "x"}), total_tasks=3))
    ended = harness("validate", path)
    assert (ended.returncode, ended.stderr) == (
        0,
        "warning: plan.json: total_tasks: says 3, but the plan has 1 tasks\n",
    )
    assert harness("validate", "--strict", path).returncode == 2


def test_a_long_list_is_cut(harness: Harness, write: Write) -> None:
    ended = harness("validate", write(newer(*[task(f"t{index}", "nothing") for index in range(80)])))
    assert "80 problems" in ended.stderr
    assert "... and 30 more" in ended.stderr


def test_show_when_nobody_looks(harness: Harness, good: Path) -> None:
    ended = harness("show", good)
    assert ended.returncode == 0
    assert "\x1b" not in ended.stdout
    assert 'first  debug  Say "hi" [bold]  notifies Later' in ended.stdout
    assert "second  debug  on web1; after first; when a; loop of 2; tags t" in ended.stdout
    assert "handler Later  debug  listens to topic" in ended.stdout


def test_show_for_programs(harness: Harness, good: Path) -> None:
    data = json.loads(harness("show", "--json", good).stdout)
    assert data["plays"][0]["batches"][0]["tasks"][1]["loop"] == [1, 2]
    assert data["metadata"]["plan_id"] == "mine"


def test_graph_formats(harness: Harness, good: Path) -> None:
    graph = dependency_graph(read_plan(good))
    assert graph_text(graph) == ("play-0:\n  first  [debug] web1, web2\n  second <- first  [debug] web1")
    assert '"first" -> "second";' in graph_dot(graph)
    assert '"first" [label="first: debug\\nSay \\"hi\\" [bold]"];' in graph_dot(graph)
    assert "t0 --> t1" in graph_mermaid(graph)
    assert 't0["first: debug<br/>Say #34;hi#34; [bold]"]' in graph_mermaid(graph)
    ended = harness("graph", "--format", "json", good)
    assert json.loads(ended.stdout)["edges"] == [{"task": "second", "depends_on": "first"}]


SCENARIO = """
driver: {name: native}
platforms:
  - {name: web1, strategy: force-ssh}
  - {name: web2}
  - {name: db1, strategy: ssh-fallback}
  - {name: idle, strategy: binary-only}
provisioner: {name: binary, plan: plan.json, strategy: hybrid}
"""


def test_decide(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = ["web1", "web2", "db1"]
    tasks = [task("a", args={"msg": "x"}), task("b", module="cron", args={"name": "x"}), task("c", args={"msg": "y"})]
    folder = tmp_path / "molecule" / "default"
    folder.mkdir(parents=True)
    plan = newer(*({**one, "hosts": hosts} for one in tasks))
    plan["hosts"] = plan["plays"][0]["batches"][0]["hosts"] = hosts
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "molecule.yml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    ended = harness("decide", "--json")
    assert ended.returncode == 0, ended.stderr
    told = {one["host"]: one for one in json.loads(ended.stdout)}
    assert {host: one["method"] for host, one in told.items()} == {
        "web1": "ssh", "web2": "hybrid", "db1": "ssh", "idle": "none",
    }  # fmt: skip
    assert told["db1"]["degraded"]
    assert [(one["method"], one["tasks"]) for one in told["web2"]["segments"]] == [
        ("binary", ["a"]), ("ssh", ["b"]), ("binary", ["c"]),
    ]  # fmt: skip
    assert harness("validate", "-s", "default", folder / "plan.json").returncode == 0, "Ansible may decide"
    assert harness("validate", folder / "plan.json").returncode == 2
    table = harness("decide").stdout
    assert "b: the module 'cron' is not honoured" in table
    assert "2. ssh: b" in table
    (folder / "molecule.yml").write_text(SCENARIO.replace("strategy: force-ssh", "strategy: binary-only"))
    refused = harness("decide")
    assert refused.returncode == 2
    assert "tasks[1].module: the module 'cron' is not honoured" in refused.stderr
    assert harness("decide", "-s", "nosuch").returncode == 2
