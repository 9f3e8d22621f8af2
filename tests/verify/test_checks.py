"""Each of the six artifact checks passes where it should, and fails for each other state: on real files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.connections.base import Completed, Connection
from harness.errors import CommandTimedOut
from harness.models.config import ArtifactCheck
from harness.models.endpoint import Local
from harness.verify.checks import Check, CommandSucceeds, Question, Verdict
from harness.verify.expectations import question_of
from harness.verify.looks import Looks
from harness.verify.seen import Init, Seen, Service
from harness.verify.services import parse


def judge(connection: Connection, question: Question) -> Verdict:
    looks = Looks([Check("node1", "task", "", question)], lambda _: connection)
    return question.judge(looks.of("node1"))


def check(path: str, check_type: object, expected: str = "") -> Question:
    return question_of(
        ArtifactCheck.model_validate({"path": path, "check_type": check_type, "expected_value": expected})
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return make_files(tmp_path)


def make_files(folder: Path) -> Path:
    (folder / "motd").write_text("Welcome\nto node1\n")
    (folder / "motd").chmod(0o640)
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "folder").chmod(0o1777)
    (folder / "link").symlink_to("motd")
    (folder / "dangling").symlink_to("nowhere")
    return folder


FILES: list[tuple[str, object, str, bool]] = [
    ("motd", "FileExists", "true", True),
    ("motd", "FileExists", "false", False),
    ("none", "FileExists", "true", False),
    ("none", "FileExists", "false", True),
    ("folder", "FileExists", "true", True),
    ("dangling", "FileExists", "true", True),
    ("dangling", "FileExists", "false", False),
    ("motd", "FileMode", "0640", True),
    ("motd", "FileMode", "640", True),
    ("motd", "FileMode", "0o640", True),
    ("link", "FileMode", "0640", True),
    ("motd", "FileMode", "0644", False),
    ("motd", "FileMode", "4640", False),
    ("motd", "FileMode", "0600", False),
    ("folder", "FileMode", "1777", True),
    ("folder", "FileMode", "0777", False),
    ("none", "FileMode", "0640", False),
    ("dangling", "FileMode", "0777", False),
    ("motd", {"FileSize": {"min": None, "max": None}}, "17", True),
    ("motd", {"FileSize": {"min": None, "max": None}}, "16", False),
    ("motd", {"FileSize": {"min": 17, "max": None}}, "", True),
    ("motd", {"FileSize": {"min": 18, "max": None}}, "", False),
    ("motd", {"FileSize": {"min": None, "max": 17}}, "", True),
    ("motd", {"FileSize": {"min": None, "max": 16}}, "", False),
    ("motd", {"FileSize": {"min": 1, "max": 100}}, "", True),
    ("empty", {"FileSize": {"min": 0, "max": 0}}, "", True),
    ("folder", {"FileSize": {"min": 0, "max": None}}, "", False),
    ("none", {"FileSize": {"min": 0, "max": None}}, "", False),
    ("motd", {"FileContent": {"regex": False}}, "Welcome\nto node1\n", True),
    ("link", {"FileContent": {"regex": False}}, "Welcome\nto node1\n", True),
    ("motd", {"FileContent": {"regex": False}}, "Welcome\nto node1", False),
    ("motd", {"FileContent": {"regex": False}}, "Welcome\nto node1\n\n", False),
    ("motd", {"FileContent": {"regex": False}}, "Welcome\n", False),
    ("motd", {"FileContent": {"regex": False}}, "", False),
    ("empty", {"FileContent": {"regex": False}}, "", True),
    ("none", {"FileContent": {"regex": False}}, "", False),
    ("folder", {"FileContent": {"regex": False}}, "", False),
    ("motd", {"FileContent": {"regex": True}}, "node[0-9]", True),
    ("motd", {"FileContent": {"regex": True}}, "^to node1$", True),
    ("motd", {"FileContent": {"regex": True}}, "node2", False),
    ("none", {"FileContent": {"regex": True}}, ".*", False),
]  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    """Of the whole table, from one look."""
    folder = make_files(tmp_path_factory.mktemp("files"))
    questions = [check(str(folder / name), kind, expected) for name, kind, expected, _ in FILES]
    with open_connection(Local(directory=str(folder)), name="node1") as local:
        looks = Looks([Check("node1", "task", "", question) for question in questions], lambda _: local)
        return [question.judge(looks.of("node1")) for question in questions]


@pytest.mark.parametrize("row", range(len(FILES)), ids=lambda row: f"{FILES[row][0]}-{FILES[row][1]}-{FILES[row][2]!r}")
def test_files(verdicts: list[Verdict], row: int) -> None:
    verdict = verdicts[row]
    assert verdict.passed is FILES[row][3], verdict
    assert verdict.expected
    assert verdict.actual


def test_a_newline_at_the_end_is_told(local: Connection, files: Path) -> None:
    content = {"FileContent": {"regex": False}}
    missing = judge(local, check(str(files / "motd"), content, "Welcome\nto node1"))
    assert "only a newline at the end differs" in (missing.hint or "")
    too_many = judge(local, check(str(files / "motd"), content, "Welcome\nto node1\n\n"))
    assert "lacks the newline" in (too_many.hint or "")


def test_a_long_file_that_begins_as_expected_fails(local: Connection, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"a" * 3_000_000)
    content = {"FileContent": {"regex": False}}
    verdict = judge(local, check(str(tmp_path / "long"), content, "a" * 2_000_000))
    assert not verdict.passed
    assert "3000000 bytes" in verdict.actual


def test_two_checks_of_one_file_do_not_cut_each_other_short(local: Connection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 50_000 + "end")
    path = str(tmp_path / "file")
    questions = [
        check(path, {"FileContent": {"regex": False}}, "x"),
        check(path, {"FileContent": {"regex": True}}, "end$"),
        check(path, {"FileContent": {"regex": False}}, "x" * 50_000 + "end"),
    ]
    looks = Looks([Check("node1", "t", "", question) for question in questions], lambda _: local)
    assert [question.judge(looks.of("node1")).passed for question in questions] == [False, True, True]


def test_a_file_that_may_not_be_looked_at_passes_nothing(local: Connection, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    path = f"{tmp_path}/loop/file"
    for expected in ("true", "false"):
        verdict = judge(local, check(path, "FileExists", expected))
        assert not verdict.passed
        assert "cannot be looked at" in verdict.actual


def test_process_by_name_program_and_command_line(local: Connection, tmp_path: Path) -> None:
    script = tmp_path / "a-daemon-with-a-long-name"
    script.write_text("#!/bin/sh\nsleep 86314 & wait\n")
    script.chmod(0o755)
    with subprocess.Popen([script, "--now"], process_group=0) as process:
        try:
            for wanted, passes in {
                "sleep 86314": True,
                "sleep 8631": False,
                "sleep": True,
                f"/bin/sh {script} --now": True,
                "a-daemon-with-a": True,
                "no-such-process-4f1d": False,
            }.items():
                verdict = judge(local, check(wanted, "ProcessRunning", "true"))
                assert verdict.passed is passes, (wanted, verdict)
                assert judge(local, check(wanted, "ProcessRunning", "false")).passed is not passes
            near = judge(local, check("sleep 8631", "ProcessRunning", "true"))
            assert "sleep 86314" in (near.hint or "")
        finally:
            os.killpg(process.pid, 9)


def test_the_command_that_looks_for_a_process_does_not_find_itself(local: Connection) -> None:
    for wanted in ("head", sys.executable, "pytest", f"{sys.executable} -m pytest"):
        name = f"{wanted} --word-4f1d"
        assert not judge(local, check(name, "ProcessRunning", "true")).passed


def test_a_zombie_does_not_run(local: Connection) -> None:
    with subprocess.Popen(["sh", "-c", "exec -a zombie-4f1d sleep 0 2>/dev/null || exit 0"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        seen = Looks([Check("node1", "", "", check("sh", "ProcessRunning", "true"))], lambda _: local).of("node1")
        assert seen.processes is not None
        dead = [found for found in seen.processes if found.pid == process.pid]
        assert [found.state for found in dead] == ["Z"]
        question = check(dead[0].name, "ProcessRunning", "true")
        alone = Seen(run=local.run, processes=tuple(dead))
        assert not question.judge(alone).passed


SYSTEMD = """init=systemd
Type=simple
Result=success
LoadState={load}
ActiveState={active}
SubState=x
UnitFileState={file}
enabled={file}
"""


@pytest.mark.parametrize(
    ("load", "active", "file", "passing"),
    [
        ("loaded", "active", "enabled", {"running", "enabled"}),
        ("loaded", "inactive", "disabled", {"stopped", "disabled"}),
        ("loaded", "failed", "enabled", {"failed", "enabled"}),
        ("loaded", "activating", "static", {"static"}),
        ("masked", "inactive", "masked", {"stopped", "masked"}),
        ("not-found", "inactive", "", {"not-found"}),
    ],
)
def test_words_of_a_service(load: str, active: str, file: str, passing: set[str]) -> None:
    service = parse(SYSTEMD.format(load=load, active=active, file=file))
    for word in ("running", "stopped", "failed", "enabled", "disabled", "masked", "static", "not-found"):
        question = check("web", "ServiceStatus", word)
        seen = Seen(run=lambda _: pytest.fail("nothing is run"), services={"web": service})
        assert question.judge(seen).passed is (word in passing), (word, service)


def test_every_word_of_a_list_counts() -> None:
    service = Service(Init.SYSTEMD, frozenset({"running", "disabled"}), "")
    seen = Seen(run=lambda _: pytest.fail("nothing is run"), services={"web": service})
    assert check("web", "ServiceStatus", "running, disabled").judge(seen).passed
    assert not check("web", "ServiceStatus", "running, enabled").judge(seen).passed


@pytest.mark.parametrize("answer", ["", "init=none\n", "init=systemd\nFailed to connect to bus: Host is down\n"])
@pytest.mark.parametrize("word", ["running", "stopped", "disabled", "not-found"])
def test_without_an_answer_of_an_init_system_nothing_passes(answer: str, word: str) -> None:
    seen = Seen(run=lambda _: pytest.fail("nothing is run"), services={"web": parse(answer)})
    verdict = check("web", "ServiceStatus", word).judge(seen)
    assert not verdict.passed
    assert "init system" in verdict.actual or "systemd did not answer" in verdict.actual


def test_validation_commands(local: Connection) -> None:
    assert judge(local, CommandSucceeds("test -d / && echo yes | grep -q yes")).passed
    failed = judge(local, CommandSucceeds("echo words; echo more >&2; exit 7"))
    assert (failed.passed, failed.actual) == (False, "exit status 7")
    assert failed.detail == "words\nmore"
    assert "not found" in (judge(local, CommandSucceeds("no-such-command-4f1d")).hint or "")
    # What is left behind by one command does not reach the next.
    assert not judge(local, CommandSucceeds("exit 1")).passed
    assert judge(local, CommandSucceeds("true")).passed


def test_a_validation_command_that_does_not_end_fails() -> None:
    def hang(_: str) -> Completed:
        raise CommandTimedOut("did not end within 120 s", stdout=b"so far\n")

    verdict = CommandSucceeds("sleep 600").judge(Seen(run=hang))
    assert (verdict.passed, verdict.actual, verdict.detail) == (False, "did not end within 120 s", "so far\n")


@pytest.mark.parametrize(
    ("check_type", "value"),
    [
        ("FileExists", "maybe"),
        ("FileExists", ""),
        ("FileMode", "rw-r--r--"),
        ("FileMode", "0888"),
        ("FileMode", "17777"),
        ({"FileSize": {"min": None, "max": None}}, "big"),
        ({"FileContent": {"regex": True}}, "(unclosed"),
        ("ServiceStatus", "up"),
        ("ServiceStatus", ""),
    ],
)
def test_values_that_mean_nothing_are_refused(check_type: object, value: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check("/etc/motd", check_type, value)


@pytest.mark.parametrize("path", ["", " ", "etc/motd", "./motd", "/etc/motd\0"])
def test_paths_that_mean_nothing_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        check(path, "FileExists", "true")
