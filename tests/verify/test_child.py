"""The pytest child process: the user's tests run unmodified, and every end is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.cancellation import Cancellation
from harness.deadline import Deadline, poll
from harness.errors import HarnessError, InvalidInput
from harness.models.config import ExpectedOutcome
from harness.models.endpoint import Sandbox
from harness.models.results import HostExecutionResult, Success, TaskExecutionResult
from harness.models.verification import VerifyHost, VerifyJob, VerifyOutcome
from harness.verify import run_verify
from harness.verify.arguments import option_arguments
from harness.verify.process import Standby
from tests.verify.conftest import JobMaker


def verify(job: VerifyJob, tmp_path: Path) -> VerifyOutcome:
    return run_verify(job, workdir=tmp_path / "work")


def write(job: VerifyJob, name: str, text: str) -> None:
    (job.directory / name).write_text(text)


def outcomes(outcome: VerifyOutcome) -> dict[str, str]:
    return {result.check.split("::", 1)[-1]: result.outcome for result in outcome.suite}


def test_unmodified_tests_run_on_every_platform(make_job: JobMaker, tmp_path: Path) -> None:
    """Those of additional folders, too, and with the project's own pytest settings."""
    job = make_job(additional=[tmp_path / "shared"])
    (tmp_path / "pytest.ini").write_text("[pytest]\npython_files = check_*.py test_*.py\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "check_shared.py").write_text("def test_shared():\n    pass\n")
    write(job, "test_a.py", """
def test_passwd(host):
    assert host.file("/etc/passwd").exists
    assert host.file("/etc/passwd").user == "root"
def test_wrong(host):
    assert host.file("/etc/passwd").size == 7
def test_without_host():
    pass
""")  # fmt: skip
    outcome = verify(job, tmp_path)
    assert outcomes(outcome) == {
        "test_passwd[node1]": "passed",
        "test_wrong[node1]": "failed",
        "test_passwd[node2]": "passed",
        "test_wrong[node2]": "failed",
        "test_without_host": "passed",
        "test_shared": "passed",
    }
    assert not (tmp_path / ".pytest_cache").exists()
    assert (outcome.tests_run, outcome.passed, outcome.failed, outcome.errors) == (6, 4, 2, 0)
    wrong = next(result for result in outcome.suite if result.outcome == "failed")
    assert "assert" in wrong.message
    assert "test_a.py:6" in wrong.message
    assert (tmp_path / "work" / "junit.xml").exists()
    assert "2 failed" in (tmp_path / "work" / "verify.log").read_text()
    assert not list((tmp_path / "work").glob("*job*"))


def test_testinfra_hosts(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job(left_out=["node3", "cache"])
    for name, hosts in {
        "platform": ["node1"],
        "group": ["db"],
        "everyone": ["all"],
        "address": ["harness://node2.default"],
        "group_address": ["harness://web.default"],
        "scenario": ["harness://default"],
        "twice": ["node1", "web"],
        "text": "node2",
        "left_out": ["cache"],
        "half_left_out": ["node2", "node3"],
    }.items():
        write(job, f"test_{name}.py", f"testinfra_hosts = {hosts!r}\ndef test_{name}(host):\n    host.run('true')\n")
    assert outcomes(verify(job, tmp_path)) == {
        "test_platform[node1]": "passed",
        "test_group[node2]": "passed",
        "test_everyone[node1]": "passed",
        "test_everyone[node2]": "passed",
        "test_address[node2]": "passed",
        "test_group_address[node1]": "passed",
        "test_scenario[node1]": "passed",
        "test_scenario[node2]": "passed",
        "test_twice[node1]": "passed",
        "test_text[node2]": "passed",
        "test_left_out[cache]": "skipped",
        "test_half_left_out[node2]": "passed",
    }


def test_what_goes_wrong_in_tests(make_job: JobMaker, tmp_path: Path) -> None:
    """Each is told in words, and everything else runs."""
    job = make_job()
    write(job, "conftest.py", "import pytest\n@pytest.fixture\ndef broken():\n    raise ValueError('in the fixture')\n")
    write(job, "test_host.py", "testinfra_hosts = ['nod1']\ndef test_a(host):\n    pass\n")
    write(job, "test_syntax.py", "def test_a(:\n")
    write(job, "test_rest.py", """
import pytest
def test_passes(): pass
def test_error(broken): pass
def test_skipped(): pytest.skip("for a reason")
@pytest.mark.xfail
def test_xfail(): assert False
def test_teardown(request): request.addfinalizer(lambda: 1 / 0)
""")  # fmt: skip
    outcome = verify(job, tmp_path)
    assert outcomes(outcome) == {
        "tests/test_host.py": "error",
        "tests/test_syntax.py": "error",
        "test_passes": "passed",
        "test_error": "error",
        "test_skipped": "skipped",
        "test_xfail": "skipped",
        "test_teardown": "error",
    }
    assert (outcome.tests_run, outcome.skipped, outcome.errors) == (1, 2, 4)
    messages = {result.check.split("::")[-1].split("/")[-1]: result.message for result in outcome.suite}
    assert messages["test_skipped"] == "for a reason"
    assert "SyntaxError" in messages["test_syntax.py"]
    assert "in the fixture" in messages["test_error"]
    host = messages["test_host.py"]
    assert "has no platform or group 'nod1'" in host
    assert "platforms: node1, node2; groups: db, web" in host
    assert "Traceback" not in host
    assert ".py:" not in host


def test_what_testinfra_offers(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job()
    write(job, "test_a.py", r"""
import pytest
testinfra_hosts = ["node1"]
def test_commands(host):
    assert host.run("exit 3").rc == 3
    assert host.run("printf 'a\\nb'; echo e >&2").stdout == "a\nb"
    assert host.run("echo %s", "it's $HOME").stdout == "it's $HOME\n"
    assert host.run("printf '\\377\\0'").stdout_bytes == b"\xff\x00"
    assert host.run("echo grün").stdout == "grün\n"
    assert host.run("cat").stdout == ""
    assert host.check_output("echo out") == "out"
    host.run_test("false")
    host.run_expect([7], "exit 7")
    with pytest.raises(AssertionError):
        host.run_expect([0], "exit 1")
    assert host.run("true").command == b"true"
def test_modules(host):
    assert host.user("root").uid == 0
    assert host.group("root").gid == 0
    assert host.file("/").is_directory
    assert host.system_info.type == "linux"
    assert host.exists("sh")
    assert host.environment()["PATH"]
    assert host.process.filter(comm="no-such") == [] if host.exists("ps") else True
    assert not host.socket("tcp://127.0.0.1:9").is_listening if host.exists("ss") else True
    assert host.interface("lo").exists if host.exists("ip") else True
def test_backend(host):
    assert host.backend.get_hostname() == "node1"
    assert host.backend.get_connection_type() == "harness"
    assert host.backend.get_hosts("default") == ["node1.default", "node2.default"]
    assert type(host).get_host("harness://node2.default").backend.get_hostname() == "node2"
""")  # fmt: skip
    outcome = verify(job, tmp_path)
    assert outcome.failed + outcome.errors == 0, outcome.suite
    assert outcome.passed == 3


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_sudo_with_and_without_sudo(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job(options={"sudo": True, "sudo_user": "nobody"})
    write(job, "test_a.py", r"""
testinfra_hosts = ["node1"]
def test_sudo(host):
    assert host.check_output("whoami") == "nobody"
    assert host.check_output("echo %s", "it's") == "it's"
    assert host.run("exit 5").rc == 5
def test_nested():
    import testinfra
    host = testinfra.get_host("harness://node1.default")
    assert host.check_output("whoami") == "root"
    with host.sudo("nobody"):
        assert host.check_output("whoami; echo '$x'") == "nobody\n$x"
    with host.sudo():
        with host.sudo("nobody"):
            assert host.check_output("whoami") == "nobody"
    other = testinfra.get_host("harness://nobody@node1.default")
    assert other.check_output("id -un") == "nobody"
""")  # fmt: skip
    outcome = verify(job, tmp_path)
    assert outcome.passed == 2, outcome.suite


def test_checks_and_tests_together(make_job: JobMaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    artifacts = [
        {"path": f"{tmp_path}/file", "check_type": "FileExists", "expected_value": "true"},
        {"path": f"{tmp_path}/file", "check_type": "FileMode", "expected_value": "7777"},
    ]
    expectation = {"task_id": "t", "artifacts": artifacts, "validation_commands": ["true", "true"]}
    record = TaskExecutionResult(task_id="t", status=Success(), artifacts_created=["/seen-by-nobody"])
    job = make_job(
        expected=[ExpectedOutcome.model_validate({"host": "node2", "tasks": [expectation]})],
        host_results=[
            HostExecutionResult(host="node2", task_results=[record], deployment_method="binary", execution_time=0)
        ],
    )
    write(job, "test_a.py", "def test_a():\n    pass\n")
    outcome = verify(job, tmp_path)
    [task] = outcome.task_validations
    assert (task.host, task.task_id, task.passed) == ("node2", "t", False)
    assert {check.check: check.outcome for check in task.checks} == {
        "node2::t::Success": "passed",
        f"node2::t::FileExists[{tmp_path}/file]": "passed",
        f"node2::t::FileMode[{tmp_path}/file]": "failed",
        "node2::t::command[true]": "passed",
        "node2::t::command[true]#2": "passed",
    }
    failed = next(check for check in task.checks if check.outcome == "failed")
    assert (failed.expected, failed.actual) == ("7777", "0644")
    assert failed.message.startswith("node2, task t: FileMode")
    assert "Traceback" not in failed.message
    assert outcomes(outcome) == {"test_a": "passed"}
    assert outcome.unchecked == ["node2::t: /seen-by-nobody"]
    assert (outcome.tests_run, outcome.failed) == (6, 1)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(0)"])
def test_a_child_that_dies_is_an_error_whatever_passed_before(make_job: JobMaker, tmp_path: Path, end: str) -> None:
    job = make_job()
    write(job, "test_a.py", f"import os\ndef test_a():\n    pass\ndef test_b():\n    {end}\n")
    outcome = verify(job, tmp_path)
    assert (outcome.passed, outcome.errors) == (1, 1)
    message = next(result.message for result in outcome.suite if result.outcome == "error")
    assert "test_a.py::test_b" in message


def test_options_and_arguments_reach_pytest(make_job: JobMaker, tmp_path: Path) -> None:
    assert option_arguments({"v": True, "sudo": True, "vvv": True, "q": False, "k": "a or b", "sudo_user": "x"}) == [
        "-k", "a or b", "--sudo", "--sudo-user", "x", "-v", "-vvv",
    ]  # fmt: skip
    assert option_arguments({"ignore": ["a", "b"], "n": 2}) == ["--ignore", "a", "--ignore", "b", "-n", "2"]
    job = make_job(options={"k": "chosen"}, env={"GREETING": "hello"})
    write(job, "test_a.py", """
import os
def test_chosen(): assert os.environ["GREETING"] == "hello"
def test_other(): assert False
""")  # fmt: skip
    assert outcomes(verify(job, tmp_path)) == {"test_chosen": "passed"}
    picked = job.model_copy(update={"options": {}, "pytest_args": ["tests/test_a.py::test_chosen"]})
    assert outcomes(verify(picked, tmp_path)) == {"test_chosen": "passed"}


def test_k_chooses_among_checks_too(make_job: JobMaker, tmp_path: Path) -> None:
    outcome = ExpectedOutcome.model_validate({
        "host": "node1", "tasks": [{"task_id": "motd", "validation_commands": ["true", "test -e /"]}],
    })  # fmt: skip
    job = make_job(expected=[outcome], pytest_args=["-k", "motd and test"])
    [task] = verify(job, tmp_path).task_validations
    assert [check.check for check in task.checks] == ["node1::motd::command[test -e /]"]


def test_nothing_to_run_is_no_success(make_job: JobMaker, tmp_path: Path) -> None:
    """Without tests of its own a scenario does not run whatever lies around it."""
    job = make_job()
    (tmp_path / "test_stray.py").write_text("def test_stray():\n    pass\n")
    job.directory.rmdir()
    outcome = verify(job, tmp_path)
    assert (outcome.tests_run, outcome.errors, outcome.suite) == (0, 0, [])


def test_arguments_that_pytest_refuses(make_job: JobMaker, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="unrecognized arguments: --no-such-option"):
        verify(make_job(pytest_args=["--no-such-option"]), tmp_path)


def test_tests_that_are_missing_are_told_before(make_job: JobMaker, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        verify(make_job(additional=[tmp_path / "none", tmp_path / "nor-this"]), tmp_path)
    assert len(error.value.problems) == 2


def test_secrets_are_masked_everywhere(make_job: JobMaker, tmp_path: Path) -> None:
    secret = 's3cret<&>"value'
    job = make_job(secrets=[secret])
    write(job, "test_a.py", f"""
def test_a(host):
    print({secret!r})
    assert host.check_output("echo %s", {secret!r}) == "else"
""")  # fmt: skip
    lines: list[str] = []
    outcome = run_verify(job, workdir=tmp_path / "work", on_line=lines.append)
    assert outcome.failed == 2
    texts = ["\n".join(lines), outcome.model_dump_json()]
    texts += [path.read_text() for path in (tmp_path / "work").iterdir() if path.is_file()]
    for text in texts:
        assert "s3cret" not in text
    assert any("********" in text for text in texts)


def test_with_xdist(make_job: JobMaker, tmp_path: Path) -> None:
    expected = ExpectedOutcome.model_validate(
        {"host": "node1", "tasks": [{"task_id": "t", "validation_commands": ["true", "false"]}]}
    )
    job = make_job(options={"n": 2}, expected=[expected])
    write(job, "test_a.py", "def test_a(host):\n    assert host.run('true').rc == 0\n")
    outcome = verify(job, tmp_path)
    assert (outcome.passed, outcome.failed, outcome.errors) == (3, 1, 0)
    assert outcome.task_validations[0].host == "node1"


@pytest.mark.sandbox
def test_a_host_that_cannot_be_reached_is_an_error_and_no_failure(make_job: JobMaker, tmp_path: Path) -> None:
    expected = ExpectedOutcome.model_validate(
        {"host": "node1", "tasks": [{"task_id": "t", "validation_commands": ["true"]}], "expected_method": "binary"}
    )
    gone = Sandbox(pid=2**22 - 1, start_time=1)
    job = make_job(hosts=[VerifyHost(platform="node1", endpoint=gone)], expected=[expected])
    write(job, "test_a.py", "def test_a(host):\n    host.run('true')\ndef test_b():\n    pass\n")
    outcome = verify(job, tmp_path)
    assert (outcome.passed, outcome.failed, outcome.skipped, outcome.errors) == (1, 0, 2, 2)


def test_called_off_and_out_of_time(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job()
    write(job, "test_a.py", "import time\ndef test_a():\n    pass\ndef test_b():\n    time.sleep(60)\n")
    outcome = run_verify(job, workdir=tmp_path / "work", deadline=Deadline(2))
    assert outcome.interrupted
    assert outcome.errors >= 1
    assert "did not end within 2 seconds" in outcome.suite[-1].message
    cancellation = Cancellation()

    def when_running(line: str) -> None:
        if "collected" in line:
            threading.Timer(0.3, cancellation.call).start()

    started = time.monotonic()
    outcome = run_verify(job, workdir=tmp_path / "work", on_line=when_running, cancellation=cancellation)
    assert outcome.interrupted
    assert time.monotonic() - started < 30


def test_what_is_raised_while_it_runs_ends_the_child(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job()
    write(job, "test_a.py", f"""
import os, time
def test_a():
    with open({str(tmp_path / "new")!r}, "w") as file:
        file.write(str(os.getpid()))
    os.rename({str(tmp_path / "new")!r}, {str(tmp_path / "pid")!r})
    time.sleep(60)
""")  # fmt: skip

    def interrupt(line: str) -> None:
        if "collected" in line:
            assert poll(lambda _: (tmp_path / "pid").exists() or None, Deadline(20))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_verify(job, workdir=tmp_path / "work", on_line=interrupt)
    assert _gone(int((tmp_path / "pid").read_text()))
    assert not list((tmp_path / "work").glob("*job*"))


def test_a_child_on_standby(make_job: JobMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the world of the moment in which it is used, serves once, and goes when it is not used."""
    job = make_job()
    write(
        job, "test_a.py", "import os\ndef test_a():\n    assert os.environ['LATER'] == os.path.basename(os.getcwd())\n"
    )
    with Standby() as standby:
        monkeypatch.setenv("LATER", "scenario")
        for _ in range(2):
            outcome = run_verify(job, workdir=tmp_path / "work", standby=standby)
            assert (outcome.passed, outcome.failed, outcome.errors) == (1, 0, 0), outcome.suite
    with Standby() as standby:
        unused = standby.take()
    assert unused.alive
    unused.discard()
    assert not unused.alive
    with Standby() as standby:
        assert standby.waiting
    assert not standby.waiting


def test_a_child_on_standby_does_not_outlive_its_parent() -> None:
    """Not even while it still loads."""
    program = (
        "from harness.verify.process import Standby; import os; "
        "standby = Standby(); print(standby.take()._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert parent.returncode == -signal.SIGKILL
    assert _gone(int(parent.stdout))


PARENT = """
import sys
from pathlib import Path
from harness.models.verification import VerifyJob
from harness.verify import run_verify
run_verify(VerifyJob.model_validate_json(Path(sys.argv[1]).read_text()), workdir=Path(sys.argv[2]))
"""


def test_the_child_does_not_outlive_its_parent(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job()
    write(job, "test_a.py", f"""
import os, subprocess, time
def test_a():
    sleeper = subprocess.Popen(["sleep", "60"])
    with open({str(tmp_path / "new")!r}, "w") as file:
        file.write(f"{{os.getpid()}} {{sleeper.pid}}")
    os.rename({str(tmp_path / "new")!r}, {str(tmp_path / "pids")!r})
    time.sleep(60)
""")  # fmt: skip
    (tmp_path / "job.json").write_text(job.model_dump_json(by_alias=True))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "job.json"), str(tmp_path / "work")])
    try:
        assert poll(lambda _: (tmp_path / "pids").exists() or None, Deadline(30))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for pid in (tmp_path / "pids").read_text().split():
        assert _gone(int(pid)), pid


def _gone(pid: int) -> bool:
    """Whether the process has ended, within a few seconds; one that waits for its parent has."""

    def ended(_: bool) -> bool | None:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        return True if state in "ZX" else None

    return poll(ended, Deadline(10)) is True
