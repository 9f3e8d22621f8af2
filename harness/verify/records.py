"""What the verify child writes for its parent: JSON lines, each flushed, so that a crash leaves what was known."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.secrets import Mask

if TYPE_CHECKING:
    import pytest  # the parent, which only reads what was written, does without

RECORDS = "verify.jsonl"
PROPERTY = "harness."
"""Begins the names of an item's properties that are ours."""
_MESSAGE = 20_000


class Recorder:
    """Listens to pytest's reports (of all xdist workers) and writes one line for each item that ended."""

    def __init__(self, path: Path, mask: Mask) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
        self._mask = mask
        self._items: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._write({"type": "start", "id": nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        item = self._items.setdefault(report.nodeid, {"outcome": "passed", "duration": 0.0, "message": ""})
        item["duration"] += report.duration
        item.update(
            {name.removeprefix(PROPERTY): value for name, value in report.user_properties if name.startswith(PROPERTY)}
        )
        outcome = _outcome(report)
        if outcome is not None and item["outcome"] in ("passed", "skipped"):
            item["outcome"] = outcome
            item["message"] = item["message"] or _message(report)
        if report.when == "teardown":
            self._write({"type": "item", "id": report.nodeid, **self._items.pop(report.nodeid)})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write({"type": "item", "id": report.nodeid or "collection", "outcome": "error",
                         "duration": 0.0, "message": _message(report)})  # fmt: skip

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._write({"type": "end", "exitstatus": int(exitstatus)})

    def pytest_unconfigure(self) -> None:
        self._file.close()

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(self._mask.tree(record)) + "\n")
        self._file.flush()


def _outcome(report: pytest.TestReport) -> str | None:
    """None where this phase leaves the outcome as it is."""
    if report.failed:
        reached = all(name != f"{PROPERTY}unreachable" for name, _ in report.user_properties)
        return "failed" if report.when == "call" and reached else "error"
    return "skipped" if report.skipped else None


def _message(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The last words of a failure: what was asserted, or why it was skipped."""
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return f"{crash.message}\n{Path(crash.path).name}:{crash.lineno}"[:_MESSAGE]
    return str(longrepr or "")[:_MESSAGE]
