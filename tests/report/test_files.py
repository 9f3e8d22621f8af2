import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.errors import HarnessError
from harness.models.results import SnapshotUse, TestReport
from harness.report.files import Format, render, write_report

ALL: list[Format] = ["json", "junit", "html"]


def test_json_is_one_report_or_an_array_of_them(passed: TestReport) -> None:
    one = json.loads(render([passed], "json", many=False))
    assert one["validation_report"]["overall_result"] == "Pass"
    assert one["execution_result"]["host_results"][0]["execution_time"] == {"secs": 0, "nanos": 500_000_000}
    assert TestReport.model_validate(one) == passed
    assert json.loads(render([passed], "json", many=True)) == [one]


def test_junit_counts_what_its_cases_say(failed: TestReport, passed: TestReport) -> None:
    root = ET.fromstring(render([failed, passed], "junit", many=True).encode())
    cases = root.findall(".//testcase")
    assert root.get("tests") == str(len(cases)) == "7"
    assert root.get("failures") == str(len(root.findall(".//failure"))) == "3"
    assert root.get("skipped") == str(len(root.findall(".//skipped"))) == "1"
    texts = [failure.text or "" for failure in root.findall(".//failure")]
    assert any("expected: 0644" in text for text in texts)
    assert any("boom" in text for text in texts)


def test_html_escapes_what_a_host_said(failed: TestReport) -> None:
    step = failed.steps[0].model_copy(update={"reason": "<script>alert(1)</script>"})
    page = render([failed.model_copy(update={"steps": [step]})], "html", many=False)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "0600" in page


@pytest.mark.parametrize("format", ALL)
def test_a_report_is_written_whole_with_its_folders(failed: TestReport, format: Format, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report"
    path.parent.mkdir()
    path.write_text("an older one")
    write_report([failed], format, path, many=False)
    assert "0644" in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report"]


@pytest.mark.parametrize("format", ALL)
def test_no_runs_at_all_can_be_told(format: Format) -> None:
    assert render([], format, many=True)


def test_a_place_that_cannot_be_written_is_named_with_a_cure(passed: TestReport, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as error:
        write_report([passed], "json", tmp_path, many=False)
    assert str(tmp_path) in error.value.message
    assert error.value.hint


def test_html_shows_what_the_platforms_went_on_from(passed: TestReport) -> None:
    use = SnapshotUse(
        host="web1", key="ab" * 32, created=passed.start_time, made=False, missing=["processes"], lost=["redis-server"]
    )
    page = render([passed.model_copy(update={"snapshots": [use]})], "html", many=False)
    assert "abababababab" in page
    assert "redis-server" in page
    assert "Snapshots of prepare" not in render([passed], "html", many=False)
