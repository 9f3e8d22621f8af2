"""The command compiler, by small scripts in the place of somebody's plan compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.cancellation import Cancellation
from harness.compile import host_target
from harness.compile.base import CompileSettings
from harness.compile.command import CommandCompiler, CommandOptions
from harness.compile.store import Store
from harness.errors import CompileFailed, HarnessError, Interrupted, InvalidInput, ToolchainMissing
from harness.models.results import CompilationResult
from harness.plan import check_file
from tests.compile.conftest import payload_of
from tests.waiting import wait_for


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Field required"),
        ({"command": "cc {plan}"}, "lacks {output}"),
        ({"command": ""}, "is empty"),
        ({"command": "cc '{plan} {output}"}, "cannot be read: No closing quotation"),
        ({"command": "cc {plan} {output} {libc}"}, "there is no placeholder {libc}; known: plan, output, target"),
        ({"command": "cc {plan} {output!r}"}, "no format is taken here"),
        ({"command": "cc {plan} {output} {report_url}"}, "{report_url} is for `results: report`"),
        ({"command": "cc {plan} {output}", "results": "report", "plan_format": "payload"}, "told {report_url}"),
        ({"command": "cc {plan} {output}", "timeout_seconds": 0}, "greater than 0"),
        ({"command": "cc {plan} {output}", "reslts": "runner"}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as failure:
        CommandOptions.model_validate(options)
    assert words in str(failure.value)


@pytest.fixture
def folder(tmp_path: Path, static_program: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "a scenario"
    folder.mkdir()
    (folder / "static").write_bytes(static_program.read_bytes())
    return folder


def compiled(
    folder: Path, script: str, *texts: str, words: str = "{plan} {output}", options: dict[str, Any] | None = None
) -> CompilationResult:
    (folder / "planc").write_text(f"#!/bin/sh\necho called >>'{folder}/calls'\n{script}")
    (folder / "planc").chmod(0o755)
    chosen = CommandOptions.model_validate({"command": f"./planc {words}", **(options or {})})
    return CommandCompiler(chosen, folder).compile(payload_of(*texts or ("a",)), host_target(), CompileSettings())


COPY = 'cat static "$1" >"$2"'


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_what_it_is_made_of_is_the_key(folder: Path) -> None:
    options = {"inputs": ["static", "lib/*.txt"], "environment": {"COLOUR": "blue"}}
    with pytest.raises(CompileFailed, match=r"'lib/\*.txt' names no file"):
        compiled(folder, COPY, options=options)
    (folder / "lib").mkdir()
    (folder / "lib" / "a.txt").write_text("a")
    first = compiled(folder, COPY, options=options)
    assert (first.cache_hit, first.results, first.report_url) == (False, "runner", None)
    assert compiled(folder, COPY, options=options).cache_hit
    assert calls(folder) == 1
    (folder / "lib" / "b.txt").write_text("b")
    assert not compiled(folder, COPY, options=options).cache_hit
    assert not compiled(folder, COPY, "b", options=options).cache_hit
    assert not compiled(folder, COPY, options={**options, "environment": {}}).cache_hit
    assert not compiled(folder, f"{COPY} # another", options=options).cache_hit
    assert calls(folder) == 5


def test_inputs_are_folders_files_and_patterns_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".hidden").write_text("a")
    for inputs in (["."], ["./static"], [str(elsewhere)], [f"{elsewhere}/*"], ["**/stat*"]):
        assert compiled(folder, COPY, options={"inputs": inputs}).sha256
    (elsewhere / ".hidden").write_text("b")
    assert not compiled(folder, COPY, options={"inputs": [f"{elsewhere}/*"]}).cache_hit


def test_without_inputs_nothing_is_kept(folder: Path) -> None:
    first, second = compiled(folder, COPY), compiled(folder, COPY)
    assert (first.sha256, first.cache_hit, second.cache_hit) == (second.sha256, False, False)
    assert calls(folder) == 2


def test_its_words_are_filled_in(folder: Path) -> None:
    script = 'printf "%s|" "$@" "$PWD" "$COLOUR" >words; cp "$5/static" "$2"'
    words = "{plan} {output} --for={target}:{arch} '{profile} {{}}' {scenario} {report_url}"
    options = {"results": "report", "environment": {"COLOUR": "it's blue"}, "cwd": "."}
    made = compiled(folder, script, words=words, options=options)
    _, _, target, quoted, scenario, url, cwd, colour, _ = (folder / "words").read_text().split("|")
    assert target == f"--for={host_target()}:{host_target().partition('-')[0]}"
    assert quoted == "release {}"
    assert (scenario, cwd, colour) == (str(folder), str(folder), "it's blue")
    assert (url, made.results) == (made.report_url, "report")


def test_the_plan_it_is_given(folder: Path) -> None:
    compiled(folder, f"cp $1 given; {COPY}", "hello", options={"results": "report"})
    plan = json.loads((folder / "given").read_text())
    assert plan["plays"][0]["batches"][0]["tasks"][0]["args"] == {"msg": "hello"}
    assert plan["binary_deployments"][0]["controller_endpoint"].startswith("http://127.0.0.1:")
    compiled(folder, f"cp $1 given; {COPY}", "hello", options={"plan_format": "payload"})
    assert json.loads((folder / "given").read_text())["schema"] == 1


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo some log; echo 'I cannot' >&2; exit 3", "ended with exit status 3\n"),
        ("echo all is well", "ended with exit status 0, but left no file at {output}\nall is well"),
        ("ln -s /bin/sh $2", "left no file at {output}"),
        ('cp planc "$2"', "not an executable that can be recognised"),
        ('cp /bin/sh "$2"', "is dynamically linked"),
        (
            "head -c 4096 static | sed 's/\\x3e\\x00/\\xb7\\x00/' >$2",
            "is for linux aarch64, but linux x86_64 is needed",
        ),
        ("sleep 60", "did not finish within 0.3 seconds"),
        ("kill -9 $$", "exit status -9"),
    ],
)
def test_what_it_does_not_deliver(folder: Path, script: str, words: str) -> None:
    if "aarch64" in words and not host_target().startswith("x86_64"):
        pytest.skip("the binary is made from an x86_64 one")
    with pytest.raises(CompileFailed) as failure:
        compiled(folder, script, options={"timeout_seconds": 0.3} if "sleep" in script else None)
    assert words in failure.value.message
    assert not list(Store().entries("command"))


def test_no_such_command(folder: Path) -> None:
    for command, words in (("nowhere {plan} {output}", "there is no file"), ("./static.c {plan} {output}", "not exec")):
        (folder / "static.c").write_text("x")
        compiler = CommandCompiler(CommandOptions(command=command), folder)
        with pytest.raises(ToolchainMissing, match=words):
            compiler.compile(payload_of("a"), host_target(), CompileSettings())
        assert [words in problem.message for problem in compiler.diagnose(host_target())] == [True]
    bare = CommandCompiler.configured(None, folder)
    assert bare.diagnose(host_target()) == []
    with pytest.raises(HarnessError, match="has no command"):
        bare.compile(payload_of("a"), host_target(), CompileSettings())


def test_its_program_may_hang_on_the_target(folder: Path) -> None:
    arch = host_target().partition("-")[0]
    (folder / f"{arch}-planc").write_text('#!/bin/sh\ncp static "$2"')
    (folder / f"{arch}-planc").chmod(0o755)
    compiler = CommandCompiler(CommandOptions(command="./{arch}-planc {plan} {output}"), folder)
    assert compiler.diagnose(host_target()) == []
    assert compiler.compile(payload_of("a"), host_target(), CompileSettings()).binary_size > 0
    assert [problem.message for problem in compiler.diagnose("sparc-sun-solaris")] == [
        "there is no target 'sparc-sun-solaris'"
    ]


def test_it_is_called_off(folder: Path) -> None:
    cancellation = Cancellation()
    cancellation.call()
    compiler = CommandCompiler(CommandOptions(command="sleep 60 {plan} {output}"), folder)
    with pytest.raises(Interrupted):
        compiler.compile(payload_of("a"), host_target(), CompileSettings(cancellation=cancellation))


def test_what_it_honours(folder: Path) -> None:
    compiler = CommandCompiler(CommandOptions(command="true {plan} {output}", honours="honours.json"), folder)
    with pytest.raises(InvalidInput, match="honours"):
        compiler.honours()
    (folder / "honours.json").write_text('{"modules": {"debug": {"argments": []}}, "keywords": "x"}')
    with pytest.raises(InvalidInput) as failure:
        compiler.honours()
    assert [str(problem) for problem in failure.value.problems] == [
        "modules.debug.argments: unknown key; did you mean arguments?",
        "keywords: should be a list, not 'x'",
    ]
    (folder / "honours.json").write_text('{"modules": {"debug": {"arguments": ["msg"]}}, "templates": false}')
    body = {"metadata": {}, "hosts": ["n"], "plays": [{"play_id": "p", "batches": [{"batch_id": "b", "tasks": []}]}]}
    body["plays"][0]["batches"][0]["tasks"] = [  # type: ignore[index]
        {"task_id": "a", "module": "debug", "args": {"msg": "{{ x }}"}, "register": "r"},
        {"task_id": "b", "module": "copy", "args": {"dest": "/a", "content": "x"}},
    ]
    (folder / "plan.json").write_text(json.dumps(body))
    errors = check_file(folder / "plan.json", honours=compiler.honours()).errors
    assert [error.where.rpartition("].")[2] for error in errors] == ["args.msg", "register", "module"]


def test_nobody_compiles_for_a_harness_that_is_gone(folder: Path, tmp_path: Path) -> None:
    """SIGKILL in the midst of it: the tool's children end, too."""
    (folder / "planc").write_text(f"#!/bin/sh\n(while :; do echo >>'{folder}/alive'; sleep 0.05; done) & wait\n")
    (folder / "planc").chmod(0o755)
    script = (
        "from pathlib import Path\nfrom harness.compile import host_target\n"
        "from harness.compile.base import CompileSettings\n"
        "from harness.compile.command import CommandCompiler, CommandOptions\n"
        "from tests.compile.conftest import payload_of\n"
        "options = CommandOptions(command='./planc {plan} {output}')\n"
        f"CommandCompiler(options, Path('{folder}')).compile(payload_of('a'), host_target(), CompileSettings())\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2], env=environment) as process:
        wait_for((folder / "alive").exists)
        process.kill()

    def silent() -> bool:
        (folder / "alive").unlink(missing_ok=True)
        time.sleep(0.3)
        return not (folder / "alive").exists()

    wait_for(silent)
