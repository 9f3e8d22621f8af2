"""What ansible-runner's callback tells, as values of ours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from harness.ansible.job import HostStats, TaskEvent, TaskOutcome

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WARNING = re.compile(r"^\[(WARNING|DEPRECATION WARNING)\]: (.*)")
_LAST = 200
"""Lines of output that are remembered for an error's words."""


class Listener:
    """Takes every event of one run as it comes."""

    def __init__(self, on_event: Callable[[TaskEvent], None], on_line: Callable[[str], None]) -> None:
        self._on_event = on_event
        self._on_line = on_line
        self.events: list[TaskEvent] = []
        self.stats: dict[str, HostStats] = {}
        self.started: float | None = None
        self.ended: float | None = None
        self.unmatched: list[str] = []
        self.warnings: list[str] = []
        self.last_lines: list[str] = []
        self.doing = ""
        """The last task that began, for messages."""
        self._handlers: set[str] = set()
        self._play = ""

    def take(self, event: Mapping[str, Any]) -> bool:
        """Returns False: ansible-runner need not keep it."""
        self._take_lines(str(event.get("stdout") or ""))
        data: Mapping[str, Any] = event.get("event_data") or {}
        kind = str(event.get("event") or "")
        if kind.startswith("runner_on_"):
            self._take_result(kind.removeprefix("runner_on_"), data, str(event.get("stdout") or ""))
        elif kind.startswith("playbook_on_"):
            self._take_playbook(kind.removeprefix("playbook_on_"), data, _time(event.get("created")))
        return False

    def finish(self) -> tuple[TaskEvent, ...]:
        """All events. A failure that a `rescue` took care of is `ignored`: a host ends with its last failures, so
        that of more failures than Ansible counts the earlier ones were rescued."""
        left = {host: stats.failures for host, stats in self.stats.items()}
        for at in range(len(self.events) - 1, -1, -1):
            event = self.events[at]
            if event.outcome == "failed" and event.host in left:
                if left[event.host]:
                    left[event.host] -= 1
                else:
                    self.events[at] = replace(event, outcome="ignored")
        return tuple(self.events)

    def _take_lines(self, text: str) -> None:
        for line in _ESCAPES.sub("", text).replace("\r", "").split("\n"):
            if not line.strip():
                continue
            if warning := _WARNING.match(line):
                self.warnings.append(warning[2])
            self.last_lines = [*self.last_lines[-_LAST:], line.rstrip()]
            self._on_line(line.rstrip())

    def _take_playbook(self, kind: str, data: Mapping[str, Any], when: float) -> None:
        if kind == "start":
            self.started = when
        elif kind == "play_start":
            self._play = str(data.get("name") or "")
        elif kind == "no_hosts_matched":
            self.unmatched.append(self._play)
        elif kind == "task_start":
            self.doing = _name(data) or str(data.get("name") or "")
            if data.get("is_conditional"):  # so the callback tells of handlers
                self._handlers.add(str(data.get("task_uuid")))
        elif kind == "stats":
            self.ended = when
            self.stats = _stats(data)

    def _take_result(self, kind: str, data: Mapping[str, Any], printed: str) -> None:
        result: Mapping[str, Any] = data.get("res") or {}
        outcome: TaskOutcome
        if kind == "ok":
            # Of a `no_log` task ansible-runner keeps nothing, not even that it changed something: it is printed alone.
            changed = printed.lstrip().startswith("changed:") if "censored" in result else result.get("changed")
            outcome = "changed" if changed else "ok"
        elif kind == "failed":
            outcome = "ignored" if data.get("ignore_errors") else "failed"
        elif kind == "skipped":
            outcome = "skipped"
        elif kind == "unreachable":
            outcome = "unreachable"
        else:
            return
        uuid = str(data.get("task_uuid") or "")
        event = TaskEvent(
            host=str(data.get("host") or ""),
            task=_name(data),
            module=str(data.get("task_action") or ""),
            uuid=uuid,
            play=str(data.get("play") or self._play),
            outcome=outcome,
            result=result,
            start=_time(data.get("start")),
            duration=float(data.get("duration") or 0.0),
            handler=uuid in self._handlers,
            path=data.get("task_path"),
        )
        self.events.append(event)
        self._on_event(event)


def _name(data: Mapping[str, Any]) -> str:
    """As Ansible prints it: with its role."""
    task = str(data.get("task") or "")
    return f"{data['role']} : {task}" if data.get("role") else task


def _time(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return time.time()


def _stats(data: Mapping[str, Any]) -> dict[str, HostStats]:
    names = {"unreachable": "dark"}
    hosts = set(data.get("processed") or {})
    found = {}
    for host in sorted(hosts):
        counts = {
            field: int((data.get(names.get(field, field)) or {}).get(host, 0))
            for field in HostStats.__dataclass_fields__
        }
        found[host] = HostStats(**counts)
    return found
