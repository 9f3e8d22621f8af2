from harness.models import results as r
from harness.report.findings import findings, totals, verdict
from tests.report.conftest import make_report


def test_a_passed_run_has_no_findings(passed: r.TestReport) -> None:
    assert findings(passed) == []
    assert verdict(passed) == "passed"
    sums = totals(passed)
    assert (sums.ok, sums.changed, sums.failed, sums.skipped, sums.checks_passed) == (0, 1, 0, 1, 1)


def test_a_failed_run_tells_step_task_check_and_reason(failed: r.TestReport) -> None:
    found = findings(failed)
    assert [item.where for item in found] == [
        "converge",
        "web1 · deploy [command]",
        "web1::motd::FileMode[/etc/motd]",
        "",
    ]
    assert found[1].detail.splitlines()[0] == "rc: 7"
    assert "so far" in found[1].detail
    assert (found[2].expected, found[2].actual, found[2].hint) == ("0644", "0600", "the task sets 0600")


def test_a_task_that_failed_as_expected_is_no_finding() -> None:
    report = make_report(
        tasks=[r.TaskExecutionResult(task_id="motd", status=r.Failed(error="as planned"))],
        checks=[r.CheckResult(check="web1::motd::result", outcome="passed")],
        result=r.Pass(),
    )
    assert findings(report) == []


def test_a_task_without_any_passed_check_is_never_taken_as_expected() -> None:
    report = make_report(
        tasks=[r.TaskExecutionResult(task_id="motd", status=r.Failed(error="broken"))], checks=[], result=r.Pass()
    )
    assert [item.message for item in findings(report)] == ["broken"]


def test_an_ignored_failure_is_no_finding() -> None:
    report = make_report(
        tasks=[r.TaskExecutionResult(task_id="x", status=r.Failed(error="broken"), ignored=True)],
        checks=[],
        result=r.Pass(),
    )
    assert findings(report) == []


def test_a_reason_that_was_told_already_is_not_told_twice() -> None:
    report = make_report(tasks=[], checks=[], result=r.Fail(reasons=["the host is gone"]), error="the host is gone")
    assert [item.message for item in findings(report)] == ["the host is gone"]


def test_what_a_check_found_is_told_once_also_where_it_has_several_lines() -> None:
    check = r.CheckResult(
        check="web1::deploy::Success",
        outcome="failed",
        expected="succeeds",
        actual="failed: non-zero return code\nnope",
        message="Success\n  expected  succeeds\n  actual    failed: non-zero return code\n            nope\n  kept",
    )
    [found, *_] = findings(make_report(tasks=[], checks=[check], result=r.Fail(reasons=["1 check failed"])))
    assert found.detail.split() == ["kept"]
