"""Reports as files: JSON, JUnit XML, HTML. A file appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.atomic import write_atomically
from harness.errors import HarnessError, UsageError
from harness.models.results import TestReport

Format = Literal["json", "junit", "html"]


def format_of(path: Path) -> Format:
    """By the file's name. Raises UsageError where that says nothing."""
    formats: dict[str, Format] = {".json": "json", ".html": "html", ".xml": "junit"}
    if path.suffix not in formats:
        raise UsageError(f"what kind of report is {path} to be?", hint="say it with --report-format")
    return formats[path.suffix]


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
