"""Tasks that become another user, on hosts where the runner is not started by root: it has no sudo. Ansible has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.compile.base import Honours
from harness.errors import Problem
from harness.models.facts import Facts
from harness.models.runner import Payload, PayloadTask

ROOT = "root"
_CURE = "let root log in; or `strategy: hybrid` (such tasks by Ansible, which has sudo) or `ssh-fallback` (all of it)"


def by_user(payloads: Sequence[Payload], facts: Mapping[str, Facts], honours: Honours) -> list[Payload]:
    """The same work, where each task that its runner could not do is marked so: slices are cut where their hosts
    have different users."""
    if honours.sudo:
        return list(payloads)
    found = []
    for payload in payloads:
        users: dict[str, list[str]] = {}
        for host in payload.run_on:
            users.setdefault(facts[host].user, []).append(host)
        found += [_marked(payload.model_copy(update={"run_on": hosts}), user) for user, hosts in users.items()]
    return found


def refusals(payload: Payload, host: str, user: str) -> list[Problem]:
    """Every task that the host's binary alone cannot do, by its id."""
    tasks = (task for play in payload.plays for task in (*play.tasks, *play.handlers))
    return [Problem(host, f"task {task.task_id} {words}", _CURE) for task in tasks for words in _lacks(task, user)]


def _marked(payload: Payload, user: str) -> Payload:
    if user == ROOT:
        return payload

    def marked(tasks: Sequence[PayloadTask]) -> list[PayloadTask]:
        return [task.model_copy(update={"lacking": (*task.lacking, *_lacks(task, user))}) for task in tasks]

    plays = [
        play.model_copy(update={"tasks": marked(play.tasks), "handlers": marked(play.handlers)})
        for play in payload.plays
    ]
    return payload.model_copy(update={"plays": plays})


def _lacks(task: PayloadTask, user: str) -> Iterator[str]:
    """Whom a template names is the runner's to find out."""
    wanted = task.become_user or ROOT
    if user != ROOT and task.become and wanted != user and "{{" not in wanted:
        yield f"becomes {wanted}, but the runner is started by {user} and has no sudo"
