"""Runs for the checks of their conduct: plans, and runners that are shell scripts which speak the contract."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cancellation import Cancellation
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy.binary import BinaryRun, run_binary
from harness.deploy.records import Ending, task_result
from harness.lifecycle.witness import settle
from harness.machine import capture
from harness.models.results import CompilationResult, HostExecutionResult
from harness.models.runner import Payload, PayloadPlay, PayloadTask, ReportRecord, TaskRecord
from harness.verify.conduct.evidence import Evidence
from harness.verify.conduct.judge import judge
from harness.verify.conduct.named import look_at

NOW = "2026-01-01T00:00:00Z"


def task(task_id: str, module: str = "copy", /, **keywords: Any) -> PayloadTask:
    """Arguments in `args`, everything else is a keyword of the task."""
    return PayloadTask.model_validate({"task_id": task_id, "module": module, "args": {}, **keywords})


def payload(
    *tasks: PayloadTask, handlers: Sequence[PayloadTask] = (), variables: Mapping[str, Any] | None = None
) -> Payload:
    play = PayloadPlay(tasks=list(tasks), handlers=list(handlers))
    return Payload(plan_id="p", run_on=["node1"], hosts={"node1": dict(variables or {})}, plays=[play])


def record(task_id: str, status: str = "ok", **fields: Any) -> TaskRecord:
    return TaskRecord.model_validate({"task_id": task_id, "status": status, "start": NOW, "duration": 0.01, **fields})


def evidence(plan: Payload, *records: TaskRecord, **more: Any) -> Evidence:
    """A run that ended by itself, as its report and exit status say."""
    failed = sum(one.status == "failed" and not one.ignored for one in records)
    report = ReportRecord(
        host="node1",
        plan_id="p",
        payload_sha256="",
        ok=sum(one.status == "ok" for one in records),
        changed=sum(one.status == "changed" for one in records),
        failed=failed,
        skipped=sum(one.status == "skipped" for one in records),
        ignored=sum(one.ignored for one in records),
        start=NOW,
        duration=1.0,
        exit_code=int(bool(failed)),
    )
    result = HostExecutionResult(
        host="node1",
        task_results=[task_result(one) for one in records],
        deployment_method="binary",
        execution_time=1.0,
    )
    ending = Ending(int(bool(failed)), report)
    known = {"host": "node1", "payload": plan, "result": result, "records": records, "endings": (ending,)}
    return Evidence(**{**known, **more})


def accusations(found: Evidence, check: str) -> list[str]:
    """What one check says: `task: seen`, or `seen` where it belongs to none. It must have been able to look."""
    results = judge(found, [check])
    assert all(result.outcome != "skipped" for result in results), results
    failed = [result for result in results if result.outcome == "failed"]
    names = [
        result.check.removeprefix("node1::").removesuffix(f"conduct.{check}").removesuffix("::") for result in failed
    ]
    return [f"{name}: {one.actual}" if name else str(one.actual) for name, one in zip(names, failed, strict=True)]


def conducted(connection: Connection, tmp_path: Path, plan: Payload, script: str, **more: Any) -> Evidence:
    """Run a shell script as the plan's runner; what was seen of it. `say ID STATUS [JSON]` writes a record, of a task
    that began just now or, where it did something, when `began=$(now)` was."""
    path = tmp_path / "runner"
    path.write_text(_PREFACE + script + _END)
    body = path.read_bytes()
    binary = CompilationResult(
        binary_path=path,
        compilation_time=0.0,
        binary_size=len(body),
        cache_hit=True,
        sha256=hashlib.sha256(body).hexdigest(),
        target="x86_64-unknown-linux-gnu",
    )
    records: list[TaskRecord] = []
    endings: list[Ending] = []
    job = BinaryRun("node1", connection, binary, on_record=records.append, on_ended=endings.append)
    began, look = time.monotonic(), look_at(plan, "node1")
    before = capture(connection, look)
    result = run_binary(job, deadline=Deadline(60), cancellation=Cancellation())
    elapsed = time.monotonic() - began
    after = capture(connection, look)
    settle(connection, before, after)
    assert result.error is None, result.error
    known = {"host": "node1", "payload": plan, "result": result, "records": tuple(records), "endings": tuple(endings)}
    return Evidence(**{**known, "before": before, "after": after, "elapsed": elapsed, **more})


_PREFACE = r"""#!/bin/sh
ok=0 changed=0 failed=0 skipped=0
now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }
say() {
    printf '{"type":"task","task_id":"%s","status":"%s","start":"%s","duration":0.001%s}\n' \
        "$1" "$2" "${began:-$(now)}" "${3:+,$3}"
    began=
    eval "$2=\$(($2 + 1))"
}
"""
_END = r"""
code=0; [ $failed = 0 ] || code=1
printf '{"type":"report","host":"node1","plan_id":"p","payload_sha256":"","ok":%s,"changed":%s,"failed":%s,' \
    $ok $changed $failed
printf '"skipped":%s,"start":"%s","duration":1,"exit_code":%s}\n' $skipped "$(now)" $code
exit $code
"""

__all__ = ["accusations", "conducted", "evidence", "payload", "record", "task"]
