"""Ansible's events in the words of our own runner's records, so that every report tells both alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from harness.ansible.job import TaskEvent
from harness.models.runner import TaskRecord

FACTS = ("gather_facts", "setup", "ansible.builtin.setup", "ansible.legacy.setup", "ansible.builtin.gather_facts")
"""Modules that only look."""

_NO_PYTHON = "Python is missing there: an image that has it, or `raw` in prepare.yml that installs it, is the cure"
_NO_SUDO = (
    "sudo is missing there: `become: false`, or an image that has it (`pre_build_image: false` adds it), is the cure"
)
_MISSING_PLUGIN = re.compile(r"the connection plugin '([\w.]+)' was not found")
_NO_PLUGIN = "ansible-core alone lacks it: name {} in the scenario's requirements.yml, or `pip install ansible`"
_COLLECTIONS = {
    "docker": "community.docker",
    "docker_api": "community.docker",
    "podman": "containers.podman",
    "lxd": "community.general",
}
_SHOWN_ITEMS = 5

Status = Literal["ok", "changed", "failed", "skipped"]


class Records:
    """The records of one playbook's run. A task is known by its name; of several of one name the later are numbered."""

    def __init__(self, mask: Callable[[Any], Any] = lambda value: value) -> None:
        self._mask = mask
        self._ids: Counter[tuple[str, str]] = Counter()

    def take(self, event: TaskEvent) -> TaskRecord:
        name = event.task or event.module
        self._ids[event.host, name] += 1
        number = self._ids[event.host, name]
        result: Mapping[str, Any] = self._mask(dict(event.result))
        return TaskRecord(
            task_id=str(self._mask(name if number == 1 else f"{name} #{number}")),
            name=str(self._mask(name)),
            module=event.module,
            handler=event.handler,
            status=_status(event),
            msg=message(event, result),
            stdout=_stream(result, "stdout"),
            stderr=_stream(result, "stderr"),
            rc=result["rc"] if isinstance(result.get("rc"), int) else None,
            start=datetime.fromtimestamp(event.start, UTC).isoformat(),
            duration=event.duration,
            artifacts=_artifacts(event, result),
            ignored=event.outcome == "ignored",
            attempts=result["attempts"] if isinstance(result.get("attempts"), int) else 1,
            skip_reason=_skip_reason(event, result),
            result=dict(result),
        )


def message(event: TaskEvent, result: Mapping[str, Any]) -> str:
    """What the task has to say: its own `msg`; of a loop that failed, that of the items that did."""
    said = next((str(result[key]) for key in ("msg", "reason") if result.get(key) is not None), "")
    if event.outcome == "unreachable":
        return f"unreachable: {said.removeprefix('Task failed: ')}"
    if event.outcome not in ("failed", "ignored"):
        return said
    items = [item for item in result.get("results") or () if isinstance(item, Mapping) and item.get("failed")]
    told = [f"{_item(item)}: {item.get('msg') or item.get('stderr') or 'failed'}" for item in items[:_SHOWN_ITEMS]]
    if "censored" in result:
        told.append(str(result["censored"]))
    inner = _modules_of_facts(result)
    told += [
        f"{name}: {failed.get('msg') or failed.get('module_stderr') or 'failed'}" for name, failed in inner.items()
    ]
    for lacking in dict.fromkeys(_not_found(each) for each in (result, *items, *inner.values())):
        if lacking:
            told.append(f"{lacking}\n{_NO_SUDO if 'sudo' in lacking else _NO_PYTHON}")
    if missing := _MISSING_PLUGIN.search(said):
        told.append(_NO_PLUGIN.format(_COLLECTIONS.get(missing[1], "the collection that has it")))
    return "\n".join(text for text in (said, *told) if text) or "it failed and does not say why"


def _status(event: TaskEvent) -> Status:
    if event.outcome in ("ok", "changed", "skipped"):
        return event.outcome
    return "failed"


def _stream(result: Mapping[str, Any], name: str) -> str:
    """Of a loop, what its items wrote, in order."""
    for key in (name, f"module_{name}"):
        if isinstance(result.get(key), str) and result[key]:
            return str(result[key])
    items = result.get("results")
    if not isinstance(items, list):
        return ""
    return "\n".join(text for item in items if isinstance(item, Mapping) and (text := _stream(item, name)))


def _item(item: Mapping[str, Any]) -> str:
    label = item.get("_ansible_item_label", item.get("item"))
    return f"item {label}"


def _modules_of_facts(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """gather_facts calls others, and says of their failure no more than that there was one."""
    failed = result.get("failed_modules")
    return (
        {name: each for name, each in failed.items() if isinstance(each, Mapping)} if isinstance(failed, dict) else {}
    )


def _not_found(result: Mapping[str, Any]) -> str | None:
    """What the platform's shell says of Python or sudo where it has none."""
    said = str(result.get("module_stderr") or result.get("module_stdout") or "") if result.get("rc") == 127 else ""
    return next((line.strip() for line in said.splitlines() if "python" in line or "sudo" in line), None)


def _artifacts(event: TaskEvent, result: Mapping[str, Any]) -> list[str]:
    path = result.get("dest") or result.get("path")
    return [path] if event.outcome == "changed" and isinstance(path, str) else []


def _skip_reason(event: TaskEvent, result: Mapping[str, Any]) -> str | None:
    if event.outcome != "skipped":
        return None
    return str(result.get("skip_reason") or result.get("msg") or "its condition does not hold")
