"""Reports that are read again: `harness report` and `harness trends`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.errors import InvalidInput
from harness.measure.trends import trends
from harness.models import results as r
from harness.report.files import read_reports, write_report
from tests.projects import Project

Kept = Callable[..., r.TestReport]


@pytest.fixture
def kept(project: Project, passed: r.TestReport) -> Kept:
    """Leaves a report as a run of the project does; each is a minute younger than the one before."""
    count = 0

    def keep(
        report: r.TestReport = passed, *, scenario: str = "web", verb: str = "test", **changes: Any
    ) -> r.TestReport:
        nonlocal count
        count += 1
        start = report.start_time + timedelta(minutes=count)
        took = changes.pop("took", report.end_time - report.start_time)
        run = f"20260102-0304{count:02}"
        changes |= {"scenario": scenario, "verb": verb, "run": run, "start_time": start, "end_time": start + took}
        made = report.model_copy(update=changes)
        write_report([made], "json", project.folder / ".harness" / "runs" / run / "report.json", many=False)
        return made

    return keep


@pytest.fixture
def failed(failed: r.TestReport) -> r.TestReport:
    """As a file can hold it: half a surrogate pair is no character."""
    text = json.dumps(failed.model_dump(mode="json", by_alias=True))
    return r.TestReport.model_validate(json.loads(text.replace("\\ud800", "")))


def names(page: str) -> list[str | None]:
    return [suite.get("name") for suite in ET.fromstring(page.encode()).iter("testsuite")]


def test_a_report_is_read_as_it_was_written(passed: r.TestReport, failed: r.TestReport, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_report([passed], "json", file, many=False)
    assert read_reports(file) == [passed]
    write_report([passed, passed], "json", file, many=True)
    assert read_reports(file) == [passed, passed]


def test_all_that_is_wrong_with_a_report_is_told_by_its_place(passed: r.TestReport, tmp_path: Path) -> None:
    document = passed.model_dump(mode="json", by_alias=True)
    document["start_time"] = "yesterday"
    del document["config"]["test_name"]
    file = tmp_path / "report.json"
    file.write_text(json.dumps([passed.model_dump(mode="json", by_alias=True), document]))
    with pytest.raises(InvalidInput) as error:
        read_reports(file)
    places = [problem.where for problem in error.value.problems]
    assert places == ["report.json: [1].config.test_name", "report.json: [1].start_time"]
    assert error.value.hint


def test_the_last_run_is_shown_again(project: Project, kept: Kept, failed: r.TestReport) -> None:
    kept(scenario="db")
    kept(failed)
    kept(verb="destroy")
    shown = project.passes("report")
    assert all(words in shown.out for words in ("converge", "web1 failed", "expected  0644", "FAILED")), shown.out
    assert "[command]" not in project.passes("report", "-s", "db").out
    assert "write motd" in project.passes("report", "-s", "db", "-v").out


def test_reports_are_written_in_every_format(project: Project, kept: Kept, tmp_path: Path) -> None:
    first = kept(scenario="db")
    kept()
    last = kept()
    assert json.loads(project.passes("report", "--report-format", "json").out)["run"] == last.run
    assert json.loads(project.passes("report", "--run", first.run, "--report-format", "json").out)["run"] == first.run
    everything = json.loads(project.passes("report", "--all", "--report-format", "json").out)
    assert [one["run"] for one in everything] == [first.run, last.run]
    assert names(project.passes("report", "-s", "w*", "--report-format", "junit").out) == ["web"]
    file = tmp_path / "page.html"
    assert project.passes("report", "--output", str(file)).out == ""
    assert last.run in file.read_text()


def test_a_saved_report_needs_no_project(
    project: Project, passed: r.TestReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "saved.json"
    write_report([passed], "json", file, many=False)
    monkeypatch.chdir(tmp_path)
    assert names(project.passes("report", str(file), "--report-format", "junit").out) == ["web"]
    assert "web" in project.passes("trends", str(file)).out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no run has left a report here"),
        (["-s", "nowhere"], "no run of nowhere has left a report here"),
        (["--run", "1"], "no run 1 has left a report here"),
        (["--run", "1", "--all"], "--all and --run exclude one another"),
        (["missing.json"], "No such file"),
    ],
)
def test_what_is_not_there_is_named(project: Project, arguments: Sequence[str], words: str) -> None:
    refused = project.run("report", *arguments)
    assert refused.code == 2
    assert words in refused.err


def steps(**seconds: float) -> list[r.StepResult]:
    return [r.StepResult(step=name, outcome="passed", duration=took) for name, took in seconds.items()]


def test_what_is_slower_than_it_ever_was_is_named(project: Project, kept: Kept) -> None:
    for verify in (1.0, 2.9, 1.1):
        kept(steps=steps(create=1.0, verify=verify))
    kept(steps=steps(create=1.1, verify=2.5))
    assert "worse" not in project.passes("trends", "--strict").out, "slow, but one before was slower"
    kept(steps=steps(create=1.4, verify=4.0))
    told = project.run("trends", "--strict")
    assert told.code == 1
    assert told.out.count("worse") == 1
    assert "worse: step verify: 4.00 s, usually 1.80 s (median of 4 runs)" in told.out
    assert project.run("trends").code == 0
    (trend,) = json.loads(project.passes("trends", "--json", "--last", "2").out)
    assert [run["figures"]["step verify"] for run in trend["runs"]] == [4.0, 2.5]
    assert trend["regressions"] == [], "of two runs nobody knows what is usual"


def test_a_larger_binary_and_a_smaller_factor_are_worse(kept: Kept, passed: r.TestReport) -> None:
    def run(size: int, factor: float) -> r.TestReport:
        binary = r.CompilationResult(
            binary_path=Path("b"), compilation_time=0, binary_size=size, cache_hit=True, sha256="", target=""
        )
        assert passed.execution_result is not None
        metrics = r.PerformanceMetrics(total_execution_time=0.5, improvement_factor=factor)
        execution = passed.execution_result.model_copy(update={"performance_metrics": metrics})
        return kept(compilation_results=[binary], execution_result=execution)

    usual = [run(1_000_000, 20.0), run(1_010_000, 18.0), run(1_000_000, 22.0)]
    assert trends([*usual, run(1_090_000, 14.0)], most=9)[0].regressions == []
    assert trends([*usual, run(1_200_000, 9.0)], most=9)[0].regressions == [
        "improvement factor: 9.0x, usually 20.0x (median of 3 runs)",
        "binary: 1.2 MB, usually 1.0 MB (median of 3 runs)",
    ]


def test_a_run_that_failed_is_worse_than_one_that_passed(project: Project, kept: Kept, failed: r.TestReport) -> None:
    kept()
    kept(failed, took=timedelta(minutes=9))
    assert "worse: failed, and passed in the run before" in project.passes("trends").out
    kept(failed)
    assert "worse" not in project.passes("trends").out


def test_each_scenario_and_verb_has_trends_of_its_own(project: Project, kept: Kept) -> None:
    kept(scenario="db")
    kept(verb="converge")
    kept(verb="")
    assert [trend["scenario"] for trend in json.loads(project.passes("trends", "--json").out)] == ["db", "web"]
    assert len(json.loads(project.passes("trends", "--json", "--verb", "converge").out)[0]["runs"]) == 1
    assert project.run("trends", "-s", "none").code == 2
    assert "did you mean verify?" in project.run("trends", "--verb", "verfy").err
