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
_UNSAID = "Action failed: Unknown error."
"""Of what fails by its `failed_when` alone."""
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
        msg=CENSORED if hidden else _message(result),
        stdout=_text(result.get("stdout")),
        stderr=_text(result.get("stderr")) or _text(result.get("module_stderr")),
        rc=result["rc"] if isinstance(result.get("rc"), int) else None,
        start=datetime.fromtimestamp(event.start, UTC).isoformat().replace("+00:00", "Z"),
        duration=event.duration,
        artifacts=[] if unmade else list(dict.fromkeys(mask(list(_artifacts(module_name(module), event.result))))),
        ignored=event.outcome == "ignored",
        attempts=max(_attempts(one, status) for one in _items(event.result)),
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
    return str(value) if isinstance(value, str | bool) else json.dumps(value, default=str)


def _message(result: Mapping[str, Any]) -> str:
    # ansible-core 2.19 says of what fails before or around a module that it is the task that failed, and of a condition
    # that cannot be evaluated nothing but in that condition's own field.
    words = _text(result.get("msg")).removeprefix("Task failed: ").removeprefix(_UNSAID)
    conditions = (result.get("failed_when_result"), result.get("changed_when_result"))
    return words or next((told for told in conditions if isinstance(told, str)), "")


def _items(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The results of a loop's items; of what is no loop its one result."""
    items = result.get("results")
    found: list[Mapping[str, Any]] = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    return found or [result]


def _attempts(result: Mapping[str, Any], status: str) -> int:
    """Where the last one failed Ansible counts the retries, one less than the attempts. Of what is no loop's item it
    does not keep `failed`."""
    told = result.get("attempts")
    failed = result.get("failed", status == "failed")
    return told + bool(failed) if isinstance(told, int) else 1


def _skip_reason(result: Mapping[str, Any], task: PayloadTask | None) -> str:
    """ansible-runner keeps nothing of a skip's result; of several conditions nobody tells which one did not hold."""
    reason = result.get("skip_reason") or result.get("skipped_reason") or result.get("msg")
    if reason:
        condition = result.get("false_condition")
        return f"{reason}: {_text(condition)}" if condition is not None else _text(reason)
    if task is None:
        return ""
    if task.loop == [] or (task.loop is not None and not task.when):
        return "No items in the list"
    condition = f"Conditional result was False: {' and '.join(map(_text, task.when))}" if task.when else ""
    return f"{condition} (or no items in the list)" if isinstance(task.loop, str) else condition


def _artifacts(module: str, result: Mapping[str, Any]) -> Iterator[str]:
    for one in _items(result):
        if not one.get("changed") or one.get("state") == "absent":
            continue
        asked = (one.get("invocation") or {}).get("module_args") or {}
        told = (place.get(name) for name in _WRITERS.get(module, ()) for place in (one, asked))
        path = next((path for path in told if isinstance(path, str)), None)
        if path is not None:
            yield path
