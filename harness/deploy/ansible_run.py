"""Hosts of one slice, or what is left of it, by Ansible: over ssh where a host has an sshd, else its connection."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from harness.deploy.ansible_playbook import (
    SECRETS,
    Excerpt,
    Exchange,
    Playbook,
    Spot,
    registering,
    whole,
    with_secrets,
    write_playbook,
)
from harness.deploy.ansible_results import record_of, skipped_record
from harness.deploy.means import HostWork, Means, RunArguments
from harness.deploy.state import HostState, without_templates
from harness.deploy.tags import reason_to_skip
from harness.errors import CommandTimedOut, Unsupported
from harness.models.endpoint import Local, Ssh
from harness.models.runner import Payload, TaskRecord

if TYPE_CHECKING:
    from harness.ansible.job import AnsibleHost, PlaybookJob, PlaybookRun, TaskEvent

_PLUGINS = Path(harness.__file__).resolve().parent / "ansible" / "plugins" / "action"

_CONFIG: Mapping[str, Mapping[str, Any]] = {
    # As in a runner: a condition need not be a boolean.
    "defaults": {"allow_broken_conditionals": True, "deprecation_warnings": False},
}


@dataclass
class HostRun:
    """What Ansible did on one host. `error`: why the host as a whole failed; `seconds` from the play's start to its
    last task's end."""

    records: list[TaskRecord] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether nothing further is to be run on the host."""
        return self.error is not None or any(one.status == "failed" and not one.ignored for one in self.records)


def route(work: HostWork) -> str:
    """How Ansible gets to a host."""
    if isinstance(work.endpoint, Ssh):
        return "Ansible over ssh"
    return f"Ansible over the {work.endpoint.kind} connection: the platform has no sshd of ours"


def run_by_ansible(
    works: Sequence[HostWork],
    means: Means,
    *,
    excerpts: Sequence[Excerpt] | None = None,
    states: Mapping[str, HostState] | None = None,
) -> dict[str, HostRun]:
    """Run the slice that all of `works` share, or these excerpts of it, on all of them in one playbook.

    `states` are taken in before the first task and brought up to date after the last. Raises AnsibleFailed where
    Ansible is missing or refuses the playbook.
    """
    run_playbook = _playbook_runner()
    payload = works[0].payload
    filtered, selected = _by_tags(payload, excerpts or whole(payload), means.arguments)
    with tempfile.TemporaryDirectory(prefix="harness-plan-") as name:
        folder = Path(name)
        hosts = [work.host for work in works]
        exchange = _exchange(folder, payload, states) if states is not None else None
        playbook = write_playbook(folder, payload, hosts, selected, environment=means.env, exchange=exchange)
        listener = Listener(works, playbook, means, states, filtered)
        job = job_of(works, means, playbook)
        try:
            run = run_playbook(
                job,
                deadline=means.deadline,
                cancellation=means.cancellation,
                on_event=listener.take,
                on_line=lambda line: means.on_line(str(means.mask(line))),
            )
        except CommandTimedOut as late:
            listener.all_failed(str(means.mask(late.message)))
            return listener.runs
        if run.error is not None:
            listener.all_failed(str(means.mask(run.error)))
        listener.close()
        if exchange is not None and states is not None:
            _hand_out(exchange, states)
    return listener.runs


def _playbook_runner() -> Callable[..., PlaybookRun]:
    """Raises Unsupported where Ansible cannot run at all."""
    if sys.platform != "win32":
        from harness.ansible.run import run_playbook

        return run_playbook
    raise Unsupported("running Ansible", by="Windows", hint="run the harness on Linux or macOS")


def _by_tags(
    payload: Payload, excerpts: Sequence[Excerpt], arguments: RunArguments
) -> tuple[dict[str, TaskRecord], list[Excerpt]]:
    """Records of the tasks that the run's tags leave out, by their ids, and the excerpts without them."""
    left_out: dict[str, TaskRecord] = {}
    kept: list[Excerpt] = []
    for excerpt in excerpts:
        wanted = set(excerpt.tasks)
        for task in payload.plays[excerpt.play].tasks:
            reason = reason_to_skip(task.tags, arguments.tags, arguments.skip_tags)
            if task.task_id in wanted and reason is not None:
                wanted.discard(task.task_id)
                left_out[task.task_id] = skipped_record(task, reason)
        kept.append(replace(excerpt, tasks=frozenset(wanted)))
    return left_out, kept


def job_of(works: Sequence[HostWork], means: Means, playbook: Playbook) -> PlaybookJob:
    """The call of Ansible that runs the playbook on all of them."""
    from harness.ansible.job import PlaybookJob

    payload = works[0].payload
    secrets = {name: without_templates(means.secrets[name]) for name in payload.secrets}
    arguments = []
    if means.arguments.tags:
        arguments += ["--tags", ",".join(means.arguments.tags)]
    if means.arguments.skip_tags:
        arguments += ["--skip-tags", ",".join(means.arguments.skip_tags)]
    if payload.diff:
        arguments.append("--diff")
    return PlaybookJob(
        playbook=playbook.path,
        hosts=_inventory(works, payload),
        extra_vars={SECRETS: secrets} if secrets else {},
        env={"ANSIBLE_ACTION_PLUGINS": str(_PLUGINS)},
        config=_CONFIG,
        arguments=tuple(arguments),
        forks=len(works),
        check=payload.check_mode or means.arguments.check,
    )


def _inventory(works: Sequence[HostWork], payload: Payload) -> list[AnsibleHost]:
    """The hosts, and those of the plan whose variables the tasks may ask for."""
    from harness.ansible.job import AnsibleHost

    of_host = {work.host: work for work in works}
    found = []
    for host, variables in payload.hosts.items():
        work = of_host.get(host)
        over_ssh = work is None or isinstance(work.endpoint, Ssh)
        found.append(
            AnsibleHost(
                name=host,
                endpoint=work.endpoint if work is not None else Local(),
                connection=None if over_ssh or work is None else work.connection,
                groups=[group for group, members in payload.groups.items() if host in members],
                variables={**(_becoming(work) if work is not None else {}), **with_secrets(variables)},
            )
        )
    return found


def _becoming(work: HostWork) -> dict[str, str]:
    """root needs no sudo, which small images have not got, to become another user, be it one without a shell."""
    if work.connection.facts().uid != 0:
        return {}
    return {"ansible_become_method": "su", "ansible_su_flags": "-s /bin/sh"}


def _exchange(folder: Path, payload: Payload, states: Mapping[str, HostState]) -> Exchange:
    exchange = Exchange(
        folder / "registered", folder / "facts", folder / "out", tuple(dict.fromkeys(registering(payload)))
    )
    for place in (exchange.registered, exchange.facts, exchange.out):
        place.mkdir(mode=0o700)
    for host, state in states.items():
        _write(exchange.registered / f"{host}.json", without_templates(state.registered))
        _write(exchange.facts / f"{host}.json", state.facts)
    return exchange


def _write(path: Path, value: object) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(value, file)


def _hand_out(exchange: Exchange, states: Mapping[str, HostState]) -> None:
    """A host that failed hands nothing on: nothing further is run on it."""
    for host, state in states.items():
        path = exchange.out / f"{host}.json"
        if path.exists():
            told = json.loads(path.read_text(encoding="utf-8"))
            state.registered.update(told["registered"])
            state.facts.update(told["facts"])


class Listener:
    """Makes records of events, host by host."""

    def __init__(
        self,
        works: Sequence[HostWork],
        playbook: Playbook,
        means: Means,
        states: Mapping[str, HostState] | None,
        left_out: Mapping[str, TaskRecord] | None = None,
    ) -> None:
        self.runs = {work.host: HostRun() for work in works}
        self._playbook = playbook
        self._means = means
        self._states = states or {}
        self._began = time.time()
        self._check = means.arguments.check or works[0].payload.check_mode
        # In the order of the plan: a task that tags leave out has its record where it would have run.
        order = [task.task_id for play in works[0].payload.plays for task in (*play.tasks, *play.handlers)]
        self._places = {task_id: place for place, task_id in enumerate(order)}
        self._left_out = {host: dict(left_out or {}) for host in self.runs}

    def close(self) -> None:
        """Everything that was to run has run."""
        for host, run in self.runs.items():
            if not run.failed:
                self._tell_left_out(host, len(self._places))

    def _tell_left_out(self, host: str, before: int) -> None:
        for task_id in [one for one in self._left_out[host] if self._places[one] < before]:
            self._add(host, self._left_out[host].pop(task_id))

    def _add(self, host: str, record: TaskRecord) -> None:
        self.runs[host].records.append(record)
        self._means.on_record(host, record)

    def all_failed(self, words: str) -> None:
        """Those that have not failed already."""
        for run in self.runs.values():
            if not run.failed:
                run.error = words

    def take(self, event: TaskEvent) -> None:
        run = self.runs.get(event.host)
        if run is None:
            return
        run.seconds = max(run.seconds, event.start + event.duration - self._began)
        spot, own = self._spot(event)
        if event.outcome == "unreachable":
            words = self._means.mask(event.result.get("msg") or "")
            run.error = f"Ansible could not reach it: {words}"
        elif spot is not None and spot.stub:
            if event.host in self._states:
                self._states[event.host].notified[spot.task.task_id] = None
        elif spot is not None or not own:
            handler = spot.handler if spot is not None else event.handler
            record = record_of(
                event, spot.task if spot else None, handler=handler, mask=self._means.mask, check=self._check
            )
            self._tell_left_out(event.host, self._places.get(record.task_id, 0))
            self._add(event.host, record)
        elif event.outcome == "failed":
            run.error = f"Ansible could not take in or hand out what tasks left: {event.result.get('msg', '')}"

    def _spot(self, event: TaskEvent) -> tuple[Spot | None, bool]:
        """What stands where the event's task does, and whether that is in our playbook."""
        path, _, line = (event.path or "").rpartition(":")
        own = Path(path) == self._playbook.path or not path
        return (self._playbook.spots.get(int(line)) if own and line.isdigit() else None), own
