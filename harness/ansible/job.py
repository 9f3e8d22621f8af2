"""What Ansible is to run, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from harness.connections.base import Connection
from harness.errors import HarnessError
from harness.models.endpoint import Endpoint

TaskOutcome = Literal["ok", "changed", "failed", "skipped", "unreachable", "ignored"]
"""`ignored` is a failure that `ignore_errors`, `ignore_unreachable` or a `rescue` took care of."""


class AnsibleFailed(HarnessError):
    """Ansible is missing, could not start, or refused the playbook; the message ends with its own words."""


@dataclass(frozen=True)
class AnsibleHost:
    """With `connection`, Ansible reaches the host through it; without, by its own plugin for the endpoint (Ssh: the
    system's ssh client; Local: this host)."""

    name: str
    endpoint: Endpoint
    connection: Connection | None = None
    groups: Sequence[str] = ()
    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    """They win over what the endpoint says."""


@dataclass(frozen=True)
class PlaybookJob:
    """One call of ansible-playbook. `localhost` needs no entry among the hosts."""

    playbook: Path
    hosts: Sequence[AnsibleHost] = ()
    group_vars: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    inventory: Path | None = None
    """A folder or file that is there already; the inventory is then not made of `hosts`, which only bring their
    connections. Its hosts say `ansible_connection: harness` (see `harness.ansible.inventory.host_variables`)."""
    extra_vars: Mapping[str, JsonValue] = field(default_factory=dict)
    """They may hold secrets: they travel in a file that nobody else can read, never on a command line."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's environment, of which Ansible sees everything but its own ANSIBLE_* variables."""
    config: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    """Sections of ansible.cfg; the user's own file is not read."""
    config_file: Path | None = None
    """Where it is written (and left). Relative paths in it begin there."""
    arguments: tuple[str, ...] = ()
    cwd: Path | None = None
    """The playbook's own folder when None."""
    forks: int | None = None
    """When None, what `config` says, else as many as there are hosts."""
    check: bool = False
    log: Path | None = None
    """What Ansible printed is appended here."""


@dataclass(frozen=True)
class TaskEvent:
    """One task on one host, once it has ended; the items of a loop are in `result["results"]`."""

    host: str
    task: str
    module: str
    """As the playbook names it, `ansible.builtin.copy` or `copy`."""
    uuid: str
    play: str
    outcome: TaskOutcome
    result: Mapping[str, Any]
    """What the module returned; censored under `no_log`."""
    start: float
    """Unix time in seconds."""
    duration: float
    """Seconds, on the controller's side."""
    handler: bool = False
    path: str | None = None
    """Where the task stands: `FILE:LINE`."""


@dataclass(frozen=True)
class HostStats:
    """Ansible's own count."""

    ok: int = 0
    changed: int = 0
    failures: int = 0
    unreachable: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class PlaybookRun:
    rc: int
    """ansible-playbook's own: 0, 2 where a task failed, 4 where a host was unreachable."""
    status: Literal["successful", "failed"]
    events: tuple[TaskEvent, ...]
    stats: Mapping[str, HostStats]
    started: float
    """Unix time of playbook_on_start; of the process's start where it never came to that."""
    ended: float
    """Unix time of playbook_on_stats."""
    duration: float
    """Seconds of the whole process."""
    error: str | None = None
    """Ansible's words where it ended badly and no task says why."""
    unmatched: tuple[str, ...] = ()
    """Plays for which the inventory has no host."""
    warnings: tuple[str, ...] = ()
    """Ansible's own warnings, one line each."""

    @property
    def failed(self) -> tuple[TaskEvent, ...]:
        return tuple(event for event in self.events if event.outcome in ("failed", "unreachable"))
