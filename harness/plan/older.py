"""The older format: a flat list of tasks and an inventory (iepathos/rustle-deploy, execution/plan.rs)."""

from __future__ import annotations

from typing import Any

from harness.models.plan import Batch, Plan, PlanMetadata, Play, Task
from harness.models.problems import shown
from harness.plan import conditions, fields, inventory, keywords
from harness.plan.fields import Faults, Fields, Wrong, not_a
from harness.plan.newer import (
    PLACEHOLDER,
    AnyHosts,
    Scope,
    objects,
    read_args,
    read_handler,
    read_host_names,
    read_hosts_vars,
    rfc3339,
    template_variables,
)
from harness.plan.patterns import Hosts

_PLAN = frozenset(
    [
        "metadata",
        "tasks",
        "handlers",
        "inventory",
        "strategy",
        "facts_template",
        "deployment_config",
        "modules",
        "deployment",
        "module_definitions",
        "hosts_vars",
        "host_vars",
    ]
)
_METADATA = frozenset(["version", "created_at", "rustle_plan_version", "plan_id", "description", "author", "tags"])
_INVENTORY = frozenset(["format", "source", "groups", "hosts", "variables", "vars"])
_TASK = (
    frozenset(
        [
            "id",
            "name",
            "task_type",
            "module",
            "args",
            "dependencies",
            "conditions",
            "target_hosts",
            "timeout",
            "retry_policy",
            "failure_policy",
            "tags",
            "notify",
        ]
    )
    | keywords.KEYWORDS
)
_SELECTORS = 'should be "All", {"Groups": [...]}, {"Hosts": [...]} or {"Expression": "..."}'


def read_older(value: dict[str, Any], digest: str, faults: Faults) -> Plan:
    """The plan, with placeholders where something could not be read; `faults` tells of them."""
    raw = Fields(value, (), faults)
    keywords.refuse_slips(raw, _PLAN, {})
    misplaced = ("groups", "group_vars")
    keywords.refuse_misplaced(raw, misplaced, "belongs to the format with plays; this one has an inventory")
    stock = Fields(raw.need("inventory", fields.mapping, {}), ("inventory",), faults)
    keywords.refuse_slips(stock, _INVENTORY, {})
    bodies: dict[str, Any] = stock.need("hosts", fields.mapping, {})
    hosts = _host_names(bodies, faults) if isinstance(stock.raw.get("hosts"), dict) else []
    groups = inventory.read_groups(
        stock.mapped("groups"),
        hosts,
        ("inventory", "groups"),
        faults,
        for_all=stock.mapped("variables") | stock.mapped("vars"),
    )
    scope = Scope(Hosts(hosts, groups.members) if hosts else AnyHosts((), {}), faults, hosts)
    tasks = [_task(index, task, scope) for index, task in objects(raw, "tasks", required=True)]
    handlers = [read_handler(index, handler, scope, id_key="id") for index, handler in objects(raw, "handlers")]
    batch = fields.build(Batch, {"batch_id": "tasks", "hosts": hosts, "tasks": tasks})
    play = fields.build(
        Play,
        {
            "play_id": "tasks",
            "hosts": hosts,
            "strategy": raw.raw.get("strategy"),
            "batches": [batch],
            "handlers": handlers,
        },
    )
    values = {
        "metadata": _metadata(raw, digest),
        "plays": [play],
        "hosts": hosts,
        "groups": groups.members,
        "group_vars": {name: variables for name, variables in groups.variables.items() if variables},
        "hosts_vars": _hosts_vars(raw, bodies, hosts),
        "total_tasks": len(tasks),
        "source_format": "execution-plan",
    }
    return raw.model(Plan, values, used=("tasks", "handlers", "host_vars"))


def _host_names(bodies: dict[str, Any], faults: Faults) -> list[str]:
    try:
        return read_host_names(list(bodies))
    except Wrong as wrong:
        faults.add(("inventory", "hosts"), wrong.words)
        return []


def _hosts_vars(plan: Fields, bodies: dict[str, Any], hosts: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    given = read_hosts_vars(plan, hosts)
    for name in hosts:
        keys = ("inventory", "hosts", name)
        body = bodies[name]
        if body is not None and not isinstance(body, dict):
            plan.faults.add(keys, not_a("an object", body).words)
            continue
        raw = Fields(body or {}, keys, plan.faults)
        variables = raw.mapped("variables") | raw.mapped("vars") | given.get(name, {})
        if variables:
            found[name] = variables
    return found


def _metadata(plan: Fields, digest: str) -> PlanMetadata:
    raw = Fields(plan.need("metadata", fields.mapping, {}, hint="{} will do"), ("metadata",), plan.faults)
    keywords.refuse_slips(raw, _METADATA, {})
    values = {
        "created_at": raw.get("created_at", rfc3339, None),
        "rustle_plan_version": raw.get("rustle_plan_version", fields.text, None),
        "plan_id": raw.get("plan_id", fields.identifier, digest),
    }
    return raw.model(PlanMetadata, values)


def _task(index: int, raw: Fields | None, scope: Scope) -> Task:
    if raw is None:
        return fields.build(Task, {"task_id": f"{PLACEHOLDER}{index}", "module": ""})
    keywords.refuse_slips(raw, _TASK, keywords.OTHERS)
    values = keywords.read(raw)
    values["when"] = [*raw.listed("conditions", conditions.older), *values.get("when", ())]
    values.update(raw.mapped("retry_policy", _retries))
    values.update(raw.mapped("failure_policy", _failure))
    values.update(
        task_id=raw.need("id", fields.identifier, f"{PLACEHOLDER}{index}"),
        name=raw.get("name", fields.text, ""),
        module=_module(raw),
        args=raw.mapped("args", read_args),
        hosts=raw.get("target_hosts", lambda value: _targets(value, scope.hosts), scope.default_hosts),
        dependencies=raw.listed("dependencies", fields.identifiers),
        conditions=raw.listed("conditions", fields.items),
        tags=raw.listed("tags", fields.tags),
        notify=raw.listed("notify", fields.texts),
        execution_order=index,
    )
    template_variables(values)
    return raw.model(Task, values, used=("register", "id", "target_hosts"))


def _module(raw: Fields) -> str:
    """`module`, or the name in `{"Custom": {"module_name": ...}}` where that alone is given."""
    kind = raw.raw.get("task_type")
    if raw.raw.get("module") is None and isinstance(kind, dict) and isinstance(kind.get("Custom"), dict):
        return Fields(kind["Custom"], (*raw.keys, "task_type", "Custom"), raw.faults).need(
            "module_name", fields.identifier, ""
        )
    return raw.need("module", fields.identifier, "")


def _targets(value: Any, hosts: Hosts) -> list[str]:
    if value == "All":
        return hosts.listed(["all"])
    if not isinstance(value, dict) or len(value) != 1:
        raise Wrong(f"{_SELECTORS}, not {shown(value)}")
    kind, body = next(iter(value.items()))
    try:
        if kind == "Groups":
            return _groups(fields.texts(body), hosts)
        if kind == "Hosts":
            return hosts.listed(fields.identifiers(body))
        if kind == "Expression":
            return hosts.listed([fields.identifier(body)])
    except Wrong as wrong:
        raise Wrong(wrong.words, keys=(kind, *wrong.keys)) from None
    raise Wrong(f"{_SELECTORS}, not {shown(kind)}")


def _groups(names: list[str], hosts: Hosts) -> list[str]:
    for index, name in enumerate(names):
        if name not in hosts.groups and not isinstance(hosts, AnyHosts):
            known = ", ".join(hosts.groups)
            raise Wrong(f"the inventory has no group {shown(name)}; groups: {known}", keys=(index,))
    return hosts.listed(names)


def _retries(value: Any) -> dict[str, Any]:
    """`max_attempts` counts the first one too, Ansible's `retries` does not."""
    policy = fields.mapping(value)
    for key in ("max_attempts", "delay"):
        if policy.get(key) is None:
            raise Wrong("missing; it is required", keys=(key,))
    attempts = _within(policy, "max_attempts", fields.whole)
    delay = _within(policy, "delay", fields.seconds)
    backoff = policy.get("backoff", "Fixed")
    if backoff not in ("Fixed", "Linear", "Exponential"):
        raise Wrong(f"should be Fixed, Linear or Exponential, not {shown(backoff)}", keys=("backoff",))
    if backoff != "Fixed" and attempts > 2 and delay > 0:
        raise Wrong(f"{backoff} is not honoured: every wait is of the same length", keys=("backoff",), hint="use Fixed")
    return {"retries": attempts - 1, "delay": delay} if attempts > 1 else {}


def _within(policy: dict[str, Any], key: str, read: Any) -> Any:
    try:
        return read(policy[key])
    except Wrong as wrong:
        raise Wrong(wrong.words, keys=(key, *wrong.keys)) from None


def _failure(value: Any) -> dict[str, Any]:
    if value == "Continue":
        return {"ignore_errors": True}
    if value == "Rollback":
        raise Wrong("Rollback is not honoured: what a task did is not undone", hint="use Abort or Continue")
    if value != "Abort":
        raise Wrong(f"should be Abort, Continue or Rollback, not {shown(value)}")
    return {}
