import io
import time

import pytest

from harness.models.results import StepResult, TestReport
from harness.models.runner import TaskRecord
from harness.models.verification import VerifyOutcome
from harness.report.console import ConsoleObserver
from harness.report.text import READABLE, plural, seconds, size
from tests.waiting import wait_for

TASK = TaskRecord(
    task_id="motd", name="write motd", status="changed", start="2026-01-02T03:04:05Z", duration=0.012, stdout="hello\n"
)


def walk(report: TestReport, *, verbosity: int = 0, live: bool = False) -> str:
    stream = io.StringIO()
    console = ConsoleObserver(stream, verbosity=verbosity, live=live)
    console.run_started("web", "20260102-1", ("converge", "verify"))
    console.step_started("web", "converge")
    console.host_event("web", "converge", "web1", "pushed 1.4 MB")
    console.task_ended("web", "web1", TASK)
    console.step_ended("web", StepResult(step="converge", outcome="passed", duration=0.5))
    console.step_started("web", "verify")
    console.verified("web", VerifyOutcome(tests_run=2, passed=1, failed=1, skipped=0, errors=0))
    console.step_ended("web", StepResult(step="verify", outcome="failed", duration=1.25))
    console.step_ended("web", StepResult(step="cleanup", outcome="skipped", duration=0, reason="nothing to do"))
    console.run_ended("web", report)
    console.close()
    return stream.getvalue()


def test_plain_lines_tell_steps_and_the_verdict(passed: TestReport) -> None:
    lines = walk(passed).splitlines()
    assert lines[0] == "web  run 20260102-1"
    assert lines[1].split() == ["ok", "converge", "web1", "1", "changed", "500", "ms"]
    assert lines[2].split() == ["FAILED", "verify", "checks:", "1", "passed,", "1", "failed", "1.25", "s"]
    assert lines[3].split()[:3] == ["PASSED", "1.50", "s"]
    assert "cleanup" not in "".join(lines)


def test_what_takes_long_says_so_where_no_live_line_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.report.console._STILL_SECONDS", 0.01)
    stream = io.StringIO()
    console = ConsoleObserver(stream, live=False)
    console.step_started("web", "converge")
    console.host_event("web", "converge", "", "Compiling serde v1.0")
    wait_for(lambda: "Compiling" in stream.getvalue())
    console.step_ended("web", StepResult(step="converge", outcome="passed", duration=0.5))
    ended = stream.getvalue()
    assert ended.splitlines()[0].split()[:4] == ["...", "converge", "Compiling", "serde"]
    time.sleep(0.1)
    assert stream.getvalue() == ended


def test_failures_that_do_not_matter_are_counted_apart() -> None:
    stream = io.StringIO()
    console = ConsoleObserver(stream, live=False)
    console.step_started("web", "converge")
    rescued, ignored = (TASK.model_copy(update={"task_id": name, "status": "failed"}) for name in ("one", "two"))
    console.task_ended("web", "web1", rescued)
    console.task_ended("web", "web1", ignored.model_copy(update={"ignored": True}))
    console.task_ended("web", "web1", rescued.model_copy(update={"ignored": True}))
    console.step_ended("web", StepResult(step="converge", outcome="passed", duration=0.5))
    assert stream.getvalue().split()[:5] == ["ok", "converge", "web1", "2", "ignored"]


def test_more_is_told_when_asked(passed: TestReport) -> None:
    text = walk(passed, verbosity=2)
    assert "pushed 1.4 MB" in text
    assert "changed write motd" in text
    assert "        hello" in text
    assert "nothing to do" in text


def test_a_failure_shows_host_task_output_values_and_hint(failed: TestReport) -> None:
    text = walk(failed)
    assert "\x1b" not in text
    for part in (
        "red",
        "non-zero return code",
        "rc: 7",
        "boom",
        "expected  0644",
        "actual    0600",
        "the task sets 0600",
    ):
        assert part in text, part
    assert "FAILED" in text


def test_a_live_screen_ends_with_the_same_words(failed: TestReport) -> None:
    assert "non-zero return code" in walk(failed, live=True)


def test_a_reader_that_has_gone_ends_the_telling_not_the_run(passed: TestReport) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    ConsoleObserver(Gone(), live=False).run_ended("web", passed)


def test_numbers_are_written_for_people() -> None:
    assert [seconds(value) for value in (0.0042, 0.012, 0.9996, 1.625, 12.34, 185)] == [
        "4.2 ms", "12 ms", "1.00 s", "1.62 s", "12.3 s", "3 min 5 s",
    ]  # fmt: skip
    assert [size(value) for value in (820, 1_400_000, 2_500_000_000)] == ["820 B", "1.4 MB", "2.5 GB"]
    assert (plural(1, "task"), plural(2, "task")) == ("1 task", "2 tasks")


def test_a_terminal_without_unicode_gets_signs_that_it_has(monkeypatch: pytest.MonkeyPatch, passed: TestReport) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = io.BytesIO()
    stream = io.TextIOWrapper(terminal, encoding="ascii", errors=READABLE)
    console = ConsoleObserver(stream, live=True)
    console.step_started("web", "converge")
    console.host_event("web", "converge", "wéb1", "pushed")
    console.step_ended("web", StepResult(step="converge", outcome="passed", duration=0.5))
    console.run_ended("web", passed)
    console.close()
    stream.flush()
    assert b"ok" in terminal.getvalue()
    assert b"1.50 s -" in terminal.getvalue()
