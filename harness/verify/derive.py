"""Checks from the plan itself: what the tasks that succeeded on a host promise to hold there afterwards.

Never a false accusation: a promise that a later task may have undone, or whose values cannot be known
without running the plan, is left out. What the plan made and no check covers is named instead.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

from harness.models.plan import Handler, Keywords, Plan, Play, Task
from harness.models.results import HostExecutionResult, Skipped, Success, TaskExecutionResult
from harness.plan.files import module_name
from harness.verify.checks import Check, CommandSucceeds
from harness.verify.known import Known
from harness.verify.ledger import Ledger
from harness.verify.planned import Planned
from harness.verify.promises import apply, package_name
from harness.verify.step import Step

_ELSEWHERE = ("delegate_to", "run_once", "async", "async_", "poll", "local_action")
"""Keywords that make a task's effect happen elsewhere or later."""


def derive(
    plan: Plan, results: Iterable[HostExecutionResult], variables: Mapping[str, Mapping[str, JsonValue]]
) -> list[Check]:
    """The checks for every host that has results; `variables` are the hosts' own, the scenario's included."""
    catalogue = _Catalogue(plan)
    return [check for result in results for check in _derive_host(catalogue, result, variables.get(result.host, {}))]


def unchecked(plan: Plan | None, results: Iterable[HostExecutionResult], checks: Sequence[Check]) -> list[str]:
    """`host::task: artifact` for each file, service, package, user or group that a task made and no check looks at.

    A validation command of the task that names it counts as looking at it.
    """
    covered: dict[str, set[str]] = {}
    commands: dict[tuple[str, str], list[str]] = {}
    for check in checks:
        question = check.question.question if isinstance(check.question, Planned) else check.question
        if isinstance(question, CommandSucceeds):
            commands.setdefault((check.host, check.task_id), []).append(question.command)
        for attribute in ("path", "service", "package", "name", "process"):
            value = getattr(question, attribute, None)
            if isinstance(value, str):
                covered.setdefault(check.host, set()).add(posixpath.normpath(value) if "/" in value else value)
    catalogue = _Catalogue(plan) if plan else None
    missing: dict[str, None] = {}
    for result in results:
        for record in result.task_results:
            for artifact in _artifacts(catalogue, record):
                seen = artifact in covered.get(result.host, ())
                if not seen and not any(artifact in c for c in commands.get((result.host, record.task_id), ())):
                    missing[f"{result.host}::{record.task_id}: {artifact}"] = None
    return list(missing)


def watched(plan: Plan | None, host: str, result: HostExecutionResult | None) -> tuple[list[str], list[str]]:
    """Paths and services for a digest of the host's state: what the plan's tasks name, and what a run reported."""
    catalogue = _Catalogue(plan) if plan else None
    variables = {**(plan.hosts_vars.get(host, {}) if plan else {}), "inventory_hostname": host}
    paths: set[str] = set()
    services: set[str] = set()
    for play, entry in catalogue.entries.values() if catalogue else ():
        if isinstance(entry, Handler) or host in entry.hosts:
            known = Known(variables, play.vars, unknown=catalogue.registered if catalogue else ())
            layers = _items(entry, known) or _ONCE
            for layer in layers:
                inner = known.with_layer(entry.vars).with_layer(layer)
                paths.update(_paths(entry, inner))
                services.update(_names(entry, inner, _SERVICES))
    for record in result.task_results if result else ():
        paths.update(path for path in record.artifacts_created if path.startswith("/"))
    return sorted(paths), sorted(services)


class _Catalogue:
    """The plan's tasks and handlers by id."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.entries: dict[str, tuple[Play, Task | Handler]] = {}
        registered: set[str] = set()
        for play in plan.plays:
            tasks = [task for batch in play.batches for task in batch.tasks]
            entries: list[tuple[str, Task | Handler]] = [(task.task_id, task) for task in tasks]
            entries += [(handler.handler_id, handler) for handler in play.handlers]
            for key, entry in entries:
                self.entries[key] = (play, entry)
                if entry.register_:
                    registered.add(entry.register_)
                if module_name(entry.module) == "set_fact":
                    registered.update(entry.args)
        self.registered = sorted(registered)


def _derive_host(catalogue: _Catalogue, result: HostExecutionResult, variables: Mapping[str, JsonValue]) -> list[Check]:
    ledger = Ledger()
    plan = catalogue.plan
    host_variables = {**plan.hosts_vars.get(result.host, {}), **variables, "inventory_hostname": result.host}
    if plan.metadata.check_mode:
        return []
    for record in result.task_results:
        if record.task_id not in catalogue.entries:
            ledger.touched("/")
            continue
        play, entry = catalogue.entries[record.task_id]
        if entry.check_mode or isinstance(record.status, Skipped):
            continue  # a failed task may have changed something before it failed; a skipped one did nothing
        known = Known(host_variables, play.vars, unknown=catalogue.registered).with_layer(entry.vars)
        _apply(entry, record, known, ledger)
    return [Check(result.host, claim.task_id, claim.task_name, claim.question) for claim in ledger.claims()]


def _apply(entry: Task | Handler, record: TaskExecutionResult, known: Known, ledger: Ledger) -> None:
    elsewhere = any(name in (entry.model_extra or {}) for name in _ELSEWHERE)
    certain = isinstance(record.status, Success) and entry.failed_when is None and not elsewhere
    items = _items(entry, known)
    if items is None or (items is not _ONCE and entry.when):
        # Which items there were, or which of them ran, is not known: the effects are, as far as they are certain.
        items, certain = [{"item": None}], False
    for layer in items:
        apply(
            Step(
                task_id=record.task_id,
                task_name=entry.name,
                module=module_name(entry.module),
                args=entry.args,
                known=known.with_layer(layer),
                result=record,
                certain=certain,
                idle=not record.changed and entry.changed_when is None and isinstance(record.status, Success),
                ledger=ledger,
            )
        )


_ONCE: list[dict[str, JsonValue]] = [{}]


def _items(entry: Keywords, known: Known) -> list[dict[str, JsonValue]] | None:
    """The loop variable of each turn; None when the items cannot be known."""
    if entry.loop is None:
        return _ONCE
    name = entry.loop_control.get("loop_var", "item")
    if not isinstance(entry.loop, list) or not isinstance(name, str):
        return None
    return [{name: item} for item in entry.loop]


def _artifacts(catalogue: _Catalogue | None, record: TaskExecutionResult) -> list[str]:
    """What a task that succeeded made: what it reported, and the names in its arguments."""
    if not isinstance(record.status, Success):
        return []
    found = [posixpath.normpath(path) for path in record.artifacts_created if path.startswith("/")]
    if catalogue is not None and record.task_id in catalogue.entries:
        entry = catalogue.entries[record.task_id][1]
        found += _paths(entry, Known())
        found += _names(entry, Known(), (*_SERVICES, "user", "group"))
        found += map(package_name, _names(entry, Known(), ("package", "apt")))
    return list(dict.fromkeys(found))


_WRITERS = ("file", "copy", "template", "lineinfile", "get_url", "unarchive", "archive", "git")
_SERVICES = ("service", "systemd", "systemd_service")


def _paths(entry: Task | Handler, known: Known) -> list[str]:
    """The path argument of a file-like module, where it is certain."""
    if module_name(entry.module) not in _WRITERS:
        return []
    for name in ("path", "dest", "destfile", "name"):
        value = entry.args.get(name)
        if value is not None:
            text = known.text(value)
            certain = text is not None and text.startswith("/") and not (name == "dest" and text.endswith("/"))
            return [posixpath.normpath(text)] if certain and text else []
    return []


def _names(entry: Task | Handler, known: Known, modules: Sequence[str]) -> list[str]:
    """Services, packages or accounts that a task names, where they are certain."""
    if module_name(entry.module) not in modules:
        return []
    for name in ("name", "service", "unit", "pkg", "package"):
        value = entry.args.get(name)
        if value is not None:
            texts = [known.text(item) for item in (value if isinstance(value, list) else [value])]
            return [word for text in texts if text for word in text.split(",")]
    return []
