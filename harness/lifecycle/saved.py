"""The reports that the runs of a project have left, read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from harness.errors import InvalidInput, UsageError
from harness.lifecycle.workspace import Workspace
from harness.models.results import TestReport
from harness.report.files import read_reports


def saved_reports(project: Path) -> Iterator[TestReport]:
    """Newest first. A run that lives, or that was killed, has none. Raises InvalidInput for what cannot be read."""
    workspace = Workspace.of(project)
    for run in workspace.all_runs():
        path = workspace.report(run)
        try:
            yield from read_reports(path) if path.is_file() else ()
        except InvalidInput:
            if path.exists():  # else a run that began meanwhile has removed it with the oldest folders
                raise


def last_of_each(reports: Iterable[TestReport], patterns: Sequence[str]) -> list[TestReport]:
    """Of reports, newest first, the first of each scenario that a pattern means; by scenario. Raises UsageError where
    a pattern means none."""
    last: dict[str, TestReport] = {}
    for report in reports:
        last.setdefault(report.scenario, report)
    missing = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in last)]
    if missing:
        known = f"there are some of: {', '.join(sorted(last))}" if last else "harness test makes one"
        raise UsageError(f"no run of {', '.join(missing)} has left a report here", hint=known)
    return [last[name] for name in sorted(last) if any(fnmatchcase(name, pattern) for pattern in patterns)]
