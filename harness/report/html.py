"""One HTML page without anything from outside, so that it can be kept as a CI artifact and opened anywhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from harness import __version__
from harness.models.results import HostExecutionResult, TestReport
from harness.report.decisions import in_words
from harness.report.findings import checks, findings, hosts, scenario_of, task_status, totals, verdict
from harness.report.text import plural, printable, seconds, size


def page(template: str, **values: Any) -> str:
    """One of our templates, filled in."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if isinstance(value, str) else value,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(seconds=seconds, size=size)
    return environment.get_template(template).render(
        **values,
        version=__version__,
        written=datetime.now(UTC).isoformat(sep=" ", timespec="seconds"),
        plural=plural,
    )


def html(reports: Sequence[TestReport]) -> str:
    return page(
        "report.html.j2",
        reports=[_view(report) for report in reports],
        verdicts={word: sum(verdict(report) == word for report in reports) for word in ("passed", "warning", "failed")},
    )


def _view(report: TestReport) -> dict[str, Any]:
    steps_longest = max((step.duration for step in report.steps), default=0.0) or 1.0
    by_host = groupby(sorted(checks(report), key=lambda pair: pair[0]), key=lambda pair: pair[0])
    return {
        "name": scenario_of(report),
        "report": report,
        "verdict": verdict(report),
        "totals": totals(report),
        "findings": findings(report),
        "took": (report.end_time - report.start_time).total_seconds(),
        "steps": [(step, 100 * step.duration / steps_longest) for step in report.steps],
        "hosts": [_host(report, host) for host in hosts(report)],
        "checks": [(host or "tests", [check for _, check in pairs]) for host, pairs in by_host],
        "screens": [(host, _inline(Path(path))) for host, path in sorted(report.screens.items())],
    }


def _inline(picture: Path) -> str:
    """A PNG as a data URL (RFC 2397); empty when it has gone meanwhile."""
    try:
        return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    except OSError:
        return ""


def _host(report: TestReport, host: HostExecutionResult) -> dict[str, Any]:
    tasks = [{"result": task, "status": task_status(report, host.host, task)} for task in host.task_results]
    return {
        "result": host,
        "decisions": [in_words(decision) for decision in host.decisions],
        "tasks": tasks,
        "failed": host.error is not None or any(task["status"] == "failed" for task in tasks),
    }
