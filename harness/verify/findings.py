"""From the child's records to a `VerifyOutcome`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from harness.errors import HarnessError
from harness.models.results import CheckResult, TaskValidationResult
from harness.models.verification import VerifyOutcome
from harness.verify.records import RECORDS

Outcome = Literal["passed", "failed", "skipped", "error"]
_USAGE = 4
_INTERRUPTED = 2


def outcome_of(
    workdir: Path,
    *,
    rc: int,
    tail: str,
    stopped: str | None,
    unchecked: list[str],
) -> VerifyOutcome:
    """Raises HarnessError when pytest refused its arguments or settings."""
    lines = read_records(workdir)
    items = [line for line in lines if line["type"] == "item"]
    ended = any(line["type"] == "end" for line in lines)
    if rc == _USAGE and not items:
        raise HarnessError(
            f"pytest refused to start: {_error_lines(tail)}",
            hint="see verifier.options, the arguments after `--`, and the project's own pytest settings",
        )
    results = [(item, _result(item)) for item in items]
    if not ended or stopped:
        results.append(({}, _broken(lines, items, rc=rc, tail=tail, stopped=stopped)))
    count = Counter(result.outcome for _, result in results)
    return VerifyOutcome(
        tests_run=count["passed"] + count["failed"],
        passed=count["passed"],
        failed=count["failed"],
        skipped=count["skipped"],
        errors=count["error"],
        task_validations=_by_task(results),
        suite=[result for item, result in results if not item.get("task")],
        unchecked=unchecked,
        interrupted=stopped is not None or (ended and rc == _INTERRUPTED and not count["error"]),
    )


def read_records(workdir: Path) -> list[dict[str, Any]]:
    """What the child of this folder wrote, as far as it came."""
    path = workdir / RECORDS
    found: list[dict[str, Any]] = []
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # the last line of a child that was killed while it wrote
    return found


def _result(item: dict[str, Any]) -> CheckResult:
    outcome: Outcome = item["outcome"]
    return CheckResult(
        check=item["id"],
        outcome=outcome,
        message=item.get("message", ""),
        expected=item.get("expected"),
        actual=item.get("actual"),
        hint=item.get("hint") or None,
        duration=item.get("duration", 0.0),
    )


def _by_task(results: Iterable[tuple[dict[str, Any], CheckResult]]) -> list[TaskValidationResult]:
    """Checks of a task together, in the order in which the tasks came."""
    tasks: dict[tuple[str, str], list[CheckResult]] = {}
    for item, result in results:
        if item.get("task"):
            tasks.setdefault((item["host"], item["task"]), []).append(result)
    return [
        TaskValidationResult(
            host=host,
            task_id=task,
            passed=all(check.outcome in ("passed", "skipped") for check in checks),
            checks=checks,
        )
        for (host, task), checks in tasks.items()
    ]


def _broken(
    lines: list[dict[str, Any]], items: list[dict[str, Any]], *, rc: int, tail: str, stopped: str | None
) -> CheckResult:
    """pytest did not come to its end: an error, whatever had passed by then."""
    done = {item["id"] for item in items}
    running = [line["id"] for line in lines if line["type"] == "start" and line["id"] not in done]
    where = f" in {running[-1]}" if running else ""
    if stopped:
        why = f"pytest was stopped{where}: {stopped}"
    elif rc < 0:
        why = f"pytest was killed by signal {-rc}{where}"
    else:
        why = f"pytest ended with status {rc}{where} before it had finished"
    return CheckResult(check="pytest", outcome="error", message=f"{why}\n{tail[-4000:]}".rstrip())


def _error_lines(tail: str) -> str:
    """pytest's usage errors: `ERROR: words` or argparse's `error: words`."""
    found = [line for line in tail.splitlines() if "error:" in line.lower()]
    return "; ".join(line.split(": ", 1)[-1].strip() for line in found) or tail.strip()[-400:]
