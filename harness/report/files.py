"""Reports as files: JSON, JUnit XML, HTML. A file appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.atomic import write_atomically
from harness.errors import HarnessError, Problem, UsageError
from harness.models.problems import Keys, path_text, problems_of
from harness.models.results import TestReport

Format = Literal["json", "junit", "html"]


def format_of(path: Path) -> Format:
    """By the file's name. Raises UsageError where that says nothing."""
    formats: dict[str, Format] = {".json": "json", ".html": "html", ".xml": "junit"}
    if path.suffix not in formats:
        raise UsageError(f"what kind of report is {path} to be?", hint="say it with --report-format")
    return formats[path.suffix]


def read_reports(path: Path) -> list[TestReport]:
    """What a file holds that `render` has written as JSON. Raises InvalidInput with all that is wrong in it."""
    from harness.plan.document import read_document, refuse

    value = read_document(path).value
    reports: list[TestReport] = []
    problems: list[Problem] = []
    for number, one in enumerate(value if isinstance(value, list) else [value]):
        where = partial(_where, path, (number,) if isinstance(value, list) else ())
        try:
            reports.append(TestReport.model_validate(one))
        except ValidationError as error:
            problems += problems_of(error, one, model=TestReport, where=where)
    if problems:
        refuse(path, problems, hint="`harness test --report-format json` writes a report that can be read again")
    return reports


def _where(path: Path, above: Keys, keys: Keys) -> str:
    return f"{path.name}: {path_text(above + keys)}".removesuffix(": ")


def render(reports: Sequence[TestReport], format: Format, *, many: bool) -> str:
    """The report's text. JSON is one TestReport, or an array of them when `many` could have been run
    (--all, globs, --repeat), whatever their number turned out to be."""
    if format == "junit":
        from harness.report.junit import junit_xml

        return junit_xml(reports)
    if format == "html":
        from harness.report.html import html

        return html(reports)
    documents = [report.model_dump(mode="json", by_alias=True) for report in reports]
    return json.dumps(documents if many or len(documents) != 1 else documents[0], indent=2, ensure_ascii=False) + "\n"


def write_report(reports: Sequence[TestReport], format: Format, path: Path, *, many: bool) -> None:
    """Write the report to `path` (made with its parents). Raises HarnessError when that is not possible."""
    text = render(reports, format, many=many)
    try:
        write_atomically(path, text)
    except OSError as error:
        raise HarnessError(
            f"cannot write the report {path}: {error.strerror}", hint="choose another file with --output"
        ) from error
