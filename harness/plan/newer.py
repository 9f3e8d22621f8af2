"""The format that rustle-plan prints: plays of batches of tasks (iepathos/rustle-plan, types/plan.rs)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from harness.models.plan import Batch, Handler, Plan, PlanMetadata, Play, Task
from harness.models.problems import shown
from harness.plan import conditions, fields, inventory, keywords
from harness.plan.fields import Faults, Fields, Wrong
from harness.plan.patterns import Hosts

PLACEHOLDER = "\0"
"""Begins the id of what could not be read: it keeps the positions of the rest, and the plan is refused anyway."""

_GENERATED = re.compile(r"(role_)?task_\d+")
"""The ids that rustle-parse makes up; it begins anew with every play."""

_PLAN = frozenset(
    [
        "metadata",
        "plays",
        "binary_deployments",
        "total_tasks",
        "estimated_duration",
        "estimated_compilation_time",
        "parallelism_score",
        "network_efficiency_score",
        "hosts",
        "hosts_vars",
        "host_vars",
        "groups",
        "group_vars",
    ]
)
_METADATA = frozenset(
    [
        "created_at",
        "rustle_plan_version",
        "playbook_hash",
        "inventory_hash",
        "planning_options",
        "plan_id",
        "version",
        "description",
    ]
)
_OPTIONS = frozenset(
    [
        "limit",
        "tags",
        "skip_tags",
        "check_mode",
        "diff_mode",
        "forks",
        "serial",
        "strategy",
        "binary_threshold",
        "force_binary",
        "force_ssh",
    ]
)
_PLAY = frozenset(
    [
        "play_id",
        "name",
        "strategy",
        "serial",
        "hosts",
        "vars",
        "batches",
        "handlers",
        "estimated_duration",
        "tags",
        "gather_facts",
    ]
) | frozenset(keywords.INHERITED)
_BATCH = frozenset(["batch_id", "hosts", "tasks", "parallel_groups", "dependencies", "estimated_duration"])
_TASK = (
    frozenset(
        [
            "task_id",
            "name",
            "module",
            "args",
            "hosts",
            "dependencies",
            "conditions",
            "tags",
            "notify",
            "execution_order",
            "can_run_parallel",
            "estimated_duration",
            "risk_level",
        ]
    )
    | keywords.KEYWORDS
)
_HANDLER = (
    frozenset(["handler_id", "name", "module", "args", "hosts", "conditions", "tags", "notify", "execution_order"])
    | keywords.KEYWORDS
)


class AnyHosts(Hosts):
    """Stands in where the plan's own list of hosts is wrong: that is said once, not for each task."""

    def listed(self, names: Any) -> list[str]:
        return list(names)

    def matching(self, pattern: str) -> list[str]:
        return [pattern]


@dataclass
class Scope:
    """What a task or handler takes over from the plan and its play."""

    hosts: Hosts
    faults: Faults
    default_hosts: list[str]
    keywords: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)

    def read_hosts(self, value: Any) -> list[str]:
        """A list of hosts and groups, or a pattern."""
        if isinstance(value, str):
            return self.hosts.listed([fields.identifier(value)])
        return self.hosts.listed(fields.identifiers(value))


def read_newer(value: dict[str, Any], digest: str, faults: Faults) -> Plan:
    """The plan, with placeholders where something could not be read; `faults` tells of them."""
    raw = Fields(value, (), faults)
    keywords.refuse_slips(raw, _PLAN, {})
    keywords.refuse_misplaced(
        raw, ("tasks", "inventory", "handlers"), "belongs to the older format, which has no plays"
    )
    metadata = _metadata(raw, digest)
    hosts: list[str] = raw.need("hosts", read_host_names, [])
    groups = inventory.read_groups(raw.mapped("groups"), hosts, ("groups",), faults, for_all={})
    given = inventory.read_variables(raw.mapped("group_vars"), groups.members, ("group_vars",), faults, what="group")
    group_vars = {name: groups.variables.get(name, {}) | given.get(name, {}) for name in {**groups.variables, **given}}
    scope = Scope(Hosts(hosts, groups.members) if hosts else AnyHosts((), {}), faults, hosts)
    plays = list(_plays(raw, scope))
    count = sum(len(batch.tasks) for play in plays for batch in play.batches)
    values = {
        "metadata": metadata,
        "plays": plays,
        "hosts": hosts,
        "groups": groups.members,
        "group_vars": {name: variables for name, variables in group_vars.items() if variables},
        "hosts_vars": read_hosts_vars(raw, hosts),
        "binary_deployments": raw.listed("binary_deployments", fields.items),
        "total_tasks": raw.get("total_tasks", fields.whole, count),
        "source_format": "rustle-plan",
    }
    return raw.model(Plan, values, used=("host_vars",))


def read_host_names(value: Any) -> list[str]:
    found = fields.identifiers(value)
    if not found:
        raise Wrong("is empty: the plan is for no host")
    for index, host in enumerate(found):
        if host == "all" or re.search(r"[\s,:!&*?\[\]/]", host):
            raise Wrong(f"should be the name of a host, not {shown(host)}", keys=(index,))
    return list(dict.fromkeys(found))


def rfc3339(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(fields.text(value))
    except ValueError:
        raise Wrong(f"should be a time as 2026-01-31T12:00:00Z, not {shown(value)}") from None


def read_args(value: Any) -> dict[str, JsonValue]:
    """A plain string is a module's free form."""
    return {"_raw_params": value} if isinstance(value, str) else fields.mapping(value)


def template_variables(values: dict[str, Any]) -> None:
    """rustle-deploy's template module takes its variables as an argument; they are the task's `vars` to Ansible."""
    variables = values["args"].get("variables")
    if values["module"].rpartition(".")[2] == "template" and isinstance(variables, dict):
        values["args"] = {key: value for key, value in values["args"].items() if key != "variables"}
        values["vars"] = {**variables, **values.get("vars", {})}


def objects(raw: Fields, key: str, *, required: bool = False) -> Iterator[tuple[int, Fields | None]]:
    """The objects of a list, None for what is none. The list is emptied on the way: a large plan is in memory once."""
    found = raw.need(key, fields.items, []) if required else raw.listed(key, fields.items)
    for index in range(len(found)):
        value, found[index] = found[index], None
        keys = (*raw.keys, key, index)
        if isinstance(value, dict):
            yield index, Fields(value, keys, raw.faults)
        else:
            raw.faults.add(keys, fields.not_a("an object", value).words)
            yield index, None


def _metadata(plan: Fields, digest: str) -> PlanMetadata:
    raw = Fields(plan.need("metadata", fields.mapping, {}, hint="{} will do"), ("metadata",), plan.faults)
    keywords.refuse_slips(raw, _METADATA, {})
    options = Fields(raw.mapped("planning_options"), ("metadata", "planning_options"), plan.faults)
    keywords.refuse_slips(options, _OPTIONS, {})
    values = {
        "created_at": raw.get("created_at", rfc3339, None),
        "rustle_plan_version": raw.get("rustle_plan_version", fields.text, None),
        "plan_id": raw.get("plan_id", fields.identifier, digest),
        "run_tags": options.listed("tags", fields.tags),
        "skip_tags": options.listed("skip_tags", fields.tags),
        "check_mode": options.get("check_mode", fields.truth, False),
        "diff_mode": options.get("diff_mode", fields.truth, False),
    }
    return raw.model(PlanMetadata, values)


def read_hosts_vars(raw: Fields, hosts: list[str]) -> dict[str, dict[str, JsonValue]]:
    """The plan's own `hosts_vars`, or `host_vars` as Ansible calls it."""
    found: dict[str, dict[str, JsonValue]] = {}
    for key in ("host_vars", "hosts_vars"):
        given = raw.mapped(key)
        for host, variables in inventory.read_variables(given, hosts, (key,), raw.faults, what="host").items():
            found.setdefault(host, {}).update(variables)
    return found


def _plays(plan: Fields, scope: Scope) -> Iterator[Play]:
    seen: set[str] = set()
    for index, raw in objects(plan, "plays", required=True):
        if raw is None:
            yield fields.build(Play, {"play_id": f"{PLACEHOLDER}{index}", "batches": []})
            continue
        keywords.refuse_slips(raw, _PLAY, keywords.PLAY_OTHERS)
        misplaced = keywords.TASKS_ALONE - _PLAY - keywords.PLAY_OTHERS.keys()
        keywords.refuse_misplaced(raw, misplaced, "is nothing that a play can say; write it in its tasks")
        ids = _ids(raw.raw)
        play_id = raw.need("play_id", fields.identifier, f"{PLACEHOLDER}{index}")
        renamed = {name: f"{play_id}.{name}" for name in ids & seen if _GENERATED.fullmatch(name)}
        seen |= ids
        yield _play(raw, play_id, scope, renamed)


def _ids(play: Mapping[str, Any]) -> set[str]:
    """The task ids of a play that has not been read yet."""
    batches = play.get("batches")
    found = set()
    for batch in batches if isinstance(batches, list) else ():
        tasks = batch.get("tasks") if isinstance(batch, dict) else None
        for task in tasks if isinstance(tasks, list) else ():
            if isinstance(task, dict) and isinstance(task.get("task_id"), str):
                found.add(task["task_id"])
    return found


def _play(raw: Fields, play_id: str, plan: Scope, renamed: dict[str, str]) -> Play:
    hosts = raw.get("hosts", plan.read_hosts, plan.default_hosts)
    scope = Scope(plan.hosts, plan.faults, hosts, keywords.play_keywords(raw), raw.listed("tags", fields.tags), renamed)
    raw.get("gather_facts", fields.truth, True)
    values = {
        "play_id": play_id,
        "name": raw.get("name", fields.text, ""),
        "strategy": raw.raw.get("strategy"),
        "serial": raw.get("serial", fields.batches, None),
        "hosts": hosts,
        "vars": raw.mapped("vars"),
        "batches": [_batch(index, batch, scope) for index, batch in objects(raw, "batches", required=True)],
        "handlers": [read_handler(index, handler, scope) for index, handler in objects(raw, "handlers")],
    }
    return raw.model(Play, values)


def _batch(index: int, raw: Fields | None, play: Scope) -> Batch:
    if raw is None:
        return fields.build(Batch, {"batch_id": f"{PLACEHOLDER}{index}", "tasks": []})
    keywords.refuse_slips(raw, _BATCH, {})
    misplaced = keywords.TASKS_ALONE - {"dependencies"}
    keywords.refuse_misplaced(raw, misplaced, "is nothing that a batch can say; write it in its tasks")
    hosts = raw.get("hosts", play.read_hosts, play.default_hosts)
    scope = Scope(play.hosts, play.faults, hosts, play.keywords, play.tags, play.renamed)
    values = {
        "batch_id": raw.need("batch_id", fields.identifier, f"{PLACEHOLDER}{index}"),
        "hosts": hosts,
        "tasks": [_task(at, task, scope) for at, task in objects(raw, "tasks", required=True)],
        "dependencies": raw.listed("dependencies", fields.identifiers),
    }
    return raw.model(Batch, values)


def _task(index: int, raw: Fields | None, scope: Scope) -> Task:
    if raw is None:
        return fields.build(Task, {"task_id": f"{PLACEHOLDER}{index}", "module": ""})
    keywords.refuse_slips(raw, _TASK, keywords.OTHERS)
    hosts = raw.get("hosts", scope.read_hosts, scope.default_hosts)
    values, meaning = common(raw, scope)
    if meaning.hosts is not None:
        hosts = [host for host in hosts if host in meaning.hosts]
    task_id = raw.need("task_id", fields.identifier, f"{PLACEHOLDER}{index}")
    dependencies = raw.listed("dependencies", fields.identifiers)
    duration = raw.get("estimated_duration", fields.seconds, None)
    values.update(
        task_id=scope.renamed.get(task_id, task_id),
        hosts=hosts,
        dependencies=[scope.renamed.get(name, name) for name in dependencies],
        can_run_parallel=raw.get("can_run_parallel", fields.truth, False),
        estimated_duration=duration,
        risk_level=raw.get("risk_level", fields.text, None),
    )
    return raw.model(Task, values, used=("register",))


def read_handler(index: int, raw: Fields | None, scope: Scope, *, id_key: str = "handler_id") -> Handler:
    if raw is None:
        return fields.build(Handler, {"handler_id": f"{PLACEHOLDER}{index}", "module": ""})
    keywords.refuse_slips(raw, _HANDLER, keywords.OTHERS)
    keywords.refuse_misplaced(raw, ("dependencies",), "a handler waits for nothing but being notified")
    values, meaning = common(raw, scope)
    if raw.raw.get("hosts") is not None:
        meaning.only(raw.get("hosts", scope.read_hosts, scope.default_hosts))
    if meaning.hosts is not None:
        values["when"] = [*values["when"], conditions.host_is_one_of(meaning.hosts)]
    values["handler_id"] = raw.need(id_key, fields.identifier, f"{PLACEHOLDER}{index}")
    return raw.model(Handler, values, used=("register", "hosts", id_key))


def common(raw: Fields, scope: Scope) -> tuple[dict[str, Any], conditions.Meaning]:
    """What tasks and handlers have alike."""
    meaning = raw.get("conditions", lambda value: conditions.newer(value, scope.hosts), None) or conditions.Meaning()
    values = keywords.inherit(keywords.read(raw), scope.keywords)
    values["when"] = list(dict.fromkeys([*meaning.when, *values.get("when", ())]))
    values.update(
        name=raw.get("name", fields.text, ""),
        module=raw.need("module", fields.identifier, ""),
        args=raw.mapped("args", read_args),
        conditions=raw.listed("conditions", fields.items),
        tags=list(dict.fromkeys([*scope.tags, *raw.listed("tags", fields.tags), *meaning.tags])),
        notify=raw.listed("notify", fields.texts),
        execution_order=raw.get("execution_order", fields.whole, 0),
    )
    template_variables(values)
    return values, meaning
