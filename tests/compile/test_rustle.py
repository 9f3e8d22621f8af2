"""rustle-deploy as the harness calls it: a script that behaves as it does, or does not. The real one: test_real.py."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.compile import host_target
from harness.compile.base import CompileSettings
from harness.compile.rustle import VARIABLE, RustleDeploy, RustleDeployOptions
from harness.compile.store import Store
from harness.errors import CompileFailed, ToolchainMissing
from harness.models.results import CompilationResult
from harness.plan import check_file
from tests.compile.conftest import payload_of
from tests.tools import GOOD, Tool


def compiled(*texts: str, store: Store | None = None, **options: Any) -> CompilationResult:
    compiler = RustleDeploy(RustleDeployOptions(**options), store=store)
    return compiler.compile(payload_of(*texts), host_target(), CompileSettings())


def test_a_binary_of_this_plan(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tool(GOOD)
    first = compiled("a")
    assert (first.cache_hit, first.results) == (False, "report")
    assert first.report_url is not None
    assert first.report_url.encode() in first.binary_path.read_bytes()
    again, other = compiled("a"), compiled("b")
    assert (again.sha256, again.cache_hit) == (first.sha256, True)
    assert (other.cache_hit, other.report_url == first.report_url) == (False, False)
    home, tmp = (path.parent / "calls").read_text().split()[1:4:2]
    for folder in (home, tmp):
        assert folder.startswith(str(tmp_path / "cache"))
        assert not Path(folder).exists(), "what it leaves behind goes with the call"
    path.write_text(path.read_text() + "# another version\n")
    assert not compiled("a").cache_hit, "the executable is part of the key"
    (tmp_path / "newer").mkdir()
    rustc = tmp_path / "newer" / "rustc"
    rustc.write_text("#!/bin/sh\necho rustc 99.0.0\n")
    rustc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{rustc.parent}:{os.environ['PATH']}")
    assert not compiled("a").cache_hit, "so is what cargo compiles with"


def test_two_calls_wait_for_each_other(tool: Tool) -> None:
    path = tool('mkdir "$CARGO_BUILD_BUILD_DIR" || exit 7\nsleep 0.3\n' + GOOD + 'rmdir "$CARGO_BUILD_BUILD_DIR"\n')
    made: list[CompilationResult] = []
    threads = [threading.Thread(target=lambda text=text: made.append(compiled(text))) for text in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    assert len((path.parent / "calls").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo some log; echo 'Error: cargo said no' >&2; exit 1", "exit status 1:\nError: cargo said no"),
        ("echo all is well", "exit status 0 and left no binary:\nall is well"),
        ('cp "$(dirname "$0")/static" "$4/rustle-runner"', "does not hold this plan"),
        (
            GOOD.replace('"$1"', '"$1.old"').replace("cat", "cp $1 $1.old; sed -i s/[0-9]/7/g $1.old; cat", 1),
            "this plan",
        ),
        ('{ echo "#!/bin/sh"; tr -d " \\n" <"$1"; } >"$4/rustle-runner"', "not an executable that can be recognised"),
        ("sleep 60", "did not finish within 0.3 seconds and was stopped"),
    ],
)
def test_what_it_does_not_deliver(tool: Tool, script: str, words: str, tmp_path: Path) -> None:
    tool(script)
    with pytest.raises(CompileFailed) as failure:
        compiled("a", timeout_seconds=0.3 if "sleep" in script else None)
    assert words in failure.value.message
    assert not (tmp_path / "cache" / "rustle-deploy" / "work").exists()
    assert not list(Store().entries("rustle-deploy"))


def test_no_executable(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tool("exit 0")

    def refused(words: str) -> None:
        with pytest.raises(ToolchainMissing, match=words) as failure:
            compiled("a")
        assert failure.value.hint
        assert any(words in problem.message for problem in RustleDeploy(RustleDeployOptions()).diagnose(host_target()))

    path.chmod(0o644)
    refused("is not executable")
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x2b\x00" + bytes(200))
    path.chmod(0o755)
    refused("but this machine is linux")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    refused("there is no file")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    refused("is no file")
    monkeypatch.delenv(VARIABLE)
    refused("no rustle-deploy is named")
    with pytest.raises(ToolchainMissing, match="there is no file"):
        compiled("a", path="nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    refused("cargo, rustc, rustup: not on PATH")


def test_another_target(tool: Tool) -> None:
    tool(GOOD)
    with pytest.raises(ToolchainMissing, match="own target only"):
        RustleDeploy(RustleDeployOptions()).compile(payload_of("a"), "aarch64-apple-darwin", CompileSettings())


def plan_of(*tasks: dict[str, Any], **keys: Any) -> dict[str, Any]:
    plays = [{"play_id": "p", "batches": [{"batch_id": "b", "tasks": list(tasks)}]}]
    return {"metadata": {}, "hosts": ["node1"], "plays": plays, **keys}


@pytest.mark.parametrize(
    ("task", "place", "words"),
    [
        ({"module": "command", "args": {"cmd": "echo {{ x }}"}}, "args.cmd", "templates are not honoured"),
        ({"module": "command", "args": {"cmd": "x", "chdir": "/"}}, "args.chdir", "has no argument"),
        ({"module": "command", "args": {"cmd": 'echo "#"'}}, "args.cmd", "would end it"),
        ({"module": "debug", "args": {"msg": "# x"}}, "args.msg", "would end it"),
        ({"module": "debug", "args": {"msg": ["x"]}}, "args.msg", "should be text"),
        ({"module": "copy", "args": {"src": "/a", "dest": "/b"}}, "args", "copy needs remote_src"),
        ({"module": "copy", "args": {"content": "a", "dest": "/b"}}, "args.content", "has no argument"),
        ({"module": "file", "args": {"path": "/a", "mode": "u=rw"}}, "args.mode", "should be an octal mode"),
        ({"module": "file", "args": {"path": "/a", "owner": "x"}}, "args.owner", "has no argument"),
        ({"module": "file", "args": {"path": "/a", "state": "hard"}}, "args.state", "should be one of"),
        ({"module": "package", "args": {"name": ["a", "b"]}}, "args.name", "should be text"),
        ({"module": "wait_for", "args": {"port": "many"}}, "args.port", "should be a number"),
        ({"module": "template", "args": {"src": "/a", "dest": "/b"}}, "module", "is not honoured"),
        ({"module": "debug", "args": {"msg": "x"}, "when": "a"}, "when", "is not honoured"),
        ({"module": "debug", "args": {"msg": "x"}, "notify": ["a"]}, "notify", "is not honoured"),
        ({"module": "debug", "args": {"msg": "x"}, "become": True}, "become", "is not honoured"),
    ],
)
def test_what_is_refused(tmp_path: Path, task: dict[str, Any], place: str, words: str) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(plan_of({"task_id": "t", **task})))
    checked = check_file(tmp_path / "plan.json", honours=RustleDeploy(RustleDeployOptions()).honours())
    found = [error for error in checked.errors if error.where == f"plan.json: plays[0].batches[0].tasks[0].{place}"]
    assert any(words in error.message for error in found), checked.errors


def test_a_dry_run_is_refused(tmp_path: Path) -> None:
    body = plan_of({"task_id": "t", "module": "debug", "args": {"msg": "x"}})
    body["metadata"] = {"planning_options": {"check_mode": True, "tags": ["a"]}}
    (tmp_path / "plan.json").write_text(json.dumps(body))
    checked = check_file(tmp_path / "plan.json", honours=RustleDeploy(RustleDeployOptions()).honours())
    assert [error.where.rpartition(".")[2] for error in checked.errors] == ["tags", "check_mode"]
