"""What Ansible tells of a task, as the record that a runner would have written of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from harness.models.runner import PayloadTask, TaskRecord
from harness.plan.files import module_name

if TYPE_CHECKING:
    from harness.ansible.job import TaskEvent

CENSORED = "the output has been hidden due to the fact that 'no_log: true' was specified for this result"

_WRITERS = {
    "file": ("path", "dest"),
    "copy": ("dest",),
    "template": ("dest",),
    "lineinfile": ("path",),
    "get_url": ("dest",),
    "archive": ("dest",),
    "command": ("creates",),
    "shell": ("creates",),
}
"""Where a module's result, or what it was asked for, names the file that it made or changed."""
_INTERNAL = ("_ansible_", "invocation")


def record_of(
    event: TaskEvent, task: PayloadTask | None, *, handler: bool, mask: Callable[[Any], Any], check: bool = False
) -> TaskRecord:
    """`task` is None for what no line of the playbook stands for: a task of an included file, a role."""
    hidden = "censored" in event.result or (task is not None and task.no_log)
    result: dict[str, Any] = {} if hidden else mask(_public(event.result))
    module = task.module if task is not None else event.module
    status = _status(event)
    skipped = status == "skipped"
    unmade = hidden or check or (task is not None and task.check_mode is True)
    return TaskRecord(
        task_id=task.task_id if task is not None else event.task,
        name=task.name if task is not None and task.no_log else str(mask(event.task)),
        module=module,
        handler=handler,
        status=status,
        # ansible-core 2.19 says of what fails before or around a module that it is the task that failed.
        msg=CENSORED if hidden else _text(result.get("msg")).removeprefix("Task failed: "),
        stdout=_text(result.get("stdout")),
        stderr=_text(result.get("stderr")) or _text(result.get("module_stderr")),
        rc=result["rc"] if isinstance(result.get("rc"), int) else None,
        start=datetime.fromtimestamp(event.start, UTC).isoformat().replace("+00:00", "Z"),
        duration=event.duration,
        artifacts=[] if unmade else list(dict.fromkeys(mask(list(_artifacts(module_name(module), event.result))))),
        ignored=event.outcome == "ignored",
        attempts=result["attempts"] if isinstance(result.get("attempts"), int) else 1,
        skip_reason=_skip_reason(result, task) if skipped and not hidden else None,
        result=result,
    )


def skipped_record(task: PayloadTask, reason: str) -> TaskRecord:
    """Of a task that the run's tags leave out: Ansible says nothing of it."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return TaskRecord(
        task_id=task.task_id,
        name=task.name,
        module=task.module,
        status="skipped",
        start=now,
        duration=0.0,
        skip_reason=reason,
        result={"changed": False, "skipped": True, "skip_reason": reason},
    )


def _status(event: TaskEvent) -> Literal["ok", "changed", "failed", "skipped"]:
    if event.outcome in ("ignored", "unreachable"):
        return "failed"
    return event.outcome  # type: ignore[return-value]


def _public(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if not key.startswith(_INTERNAL)}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _skip_reason(result: Mapping[str, Any], task: PayloadTask | None) -> str:
    """ansible-runner keeps nothing of a skip's result; of several conditions nobody tells which one did not hold."""
    reason = result.get("skip_reason") or result.get("skipped_reason") or result.get("msg")
    if reason:
        condition = result.get("false_condition")
        return f"{reason}: {_text(condition)}" if condition is not None else _text(reason)
    if task is not None and task.when:
        return f"Conditional result was False: {' and '.join(map(_text, task.when))}"
    return "No items in the list" if task is not None and task.loop is not None else ""


def _artifacts(module: str, result: Mapping[str, Any]) -> Iterator[str]:
    items = result.get("results")
    for one in items if isinstance(items, list) else [result]:
        if not isinstance(one, dict) or not one.get("changed") or one.get("state") == "absent":
            continue
        asked = (one.get("invocation") or {}).get("module_args") or {}
        told = (place.get(name) for name in _WRITERS.get(module, ()) for place in (one, asked))
        path = next((path for path in told if isinstance(path, str)), None)
        if path is not None:
            yield path
