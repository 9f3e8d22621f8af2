from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.models.plan import Plan
from tests.plan.conftest import Json, old_task, older, tasks_of

Read = Callable[[Any], Plan]
Faults = Callable[[Any], list[str]]


def test_every_field_of_the_older_format(read: Read) -> None:
    plan = older(
        old_task(
            "first",
            name="First",
            task_type="Command",
            timeout=30,
            retry_policy={"max_attempts": 3, "delay": 2, "backoff": "Fixed"},
            failure_policy="Continue",
        ),
        old_task("second", dependencies=["first"], timeout=None, retry_policy=None, failure_policy="Abort"),
    )
    plan |= {"strategy": "Linear", "facts_template": {"global_facts": ["hostname"]}, "modules": []}
    plan["metadata"] |= {"version": "1.0", "created_at": "2024-01-01T00:00:00Z", "tags": ["x"]}
    found = read(plan)
    assert found.source_format == "execution-plan"
    assert found.metadata.plan_id == "old"
    assert found.metadata.run_tags == []
    assert found.hosts == ["web1", "web2", "db1"]
    assert found.model_extra is not None and found.model_extra["facts_template"] == {"global_facts": ["hostname"]}
    first = tasks_of(found)["first"]
    assert (first.timeout, first.retries, first.delay, first.ignore_errors) == (30.0, 2, 2.0, True)
    assert first.model_extra is not None and first.model_extra["task_type"] == "Command"
    second = tasks_of(found)["second"]
    assert (second.timeout, second.retries, second.ignore_errors) == (None, None, False)


@pytest.mark.parametrize(
    ("selector", "hosts"),
    [
        ("All", ["web1", "web2", "db1"]),
        ({"Groups": ["web"]}, ["web1", "web2"]),
        ({"Hosts": ["db1", "web1"]}, ["db1", "web1"]),
        ({"Expression": "all:!web"}, ["db1"]),
        ({"Expression": "web*:&web:!web2"}, ["web1"]),
    ],
)
def test_selectors(read: Read, selector: Any, hosts: list[str]) -> None:
    assert tasks_of(read(older(old_task("t", target_hosts=selector))))["t"].hosts == hosts


def test_groups_have_children_and_variables_have_an_order(read: Read) -> None:
    plan = older(
        old_task("t", target_hosts={"Groups": ["food"]}),
        hosts={"apple": {"variables": {"own": 1}}, "stone": {"vars": {"own": 2}}},
        groups={
            "fruit": {"hosts": ["apple"], "variables": {"a": "fruit"}, "children": []},
            "food": {"hosts": [], "variables": {"a": "food", "b": "food"}, "children": ["fruit"]},
            "all": {"hosts": ["apple"], "variables": {"c": "all"}, "children": []},
        },
        variables={"c": "inventory", "d": "inventory"},
    )
    found = read(plan)
    assert tasks_of(found)["t"].hosts == ["apple"]
    assert found.groups == {"all": ["apple", "stone"], "fruit": ["apple"], "food": ["apple"]}
    assert list(found.group_vars) == ["all", "food", "fruit"]
    assert found.group_vars["all"] == {"c": "all", "d": "inventory"}
    assert found.hosts_vars == {"apple": {"own": 1}, "stone": {"own": 2}}


def test_tasks_may_have_ansible_s_keywords(read: Read) -> None:
    found = tasks_of(read(older(old_task("t", register="r", when="x", tags=["a"], become=True))))["t"]
    assert (found.register_, found.when, found.tags, found.become) == ("r", ["x"], ["a"], True)


def test_a_custom_task_type_names_its_module(read: Read) -> None:
    task = old_task("t", task_type={"Custom": {"module_name": "stat"}})
    del task["module"]
    assert tasks_of(read(older(task)))["t"].module == "stat"


def test_handlers_are_read_too(read: Read) -> None:
    plan = older(old_task("t", notify=["Restart"])) | {"handlers": [{"id": "h", "name": "Restart", "module": "debug"}]}
    assert read(plan).plays[0].handlers[0].handler_id == "h"


TASKS: list[tuple[Json, str]] = [
    ({"target_hosts": "Some"}, 'target_hosts: should be "All", {"Groups": [...]}'),
    ({"target_hosts": {"Groups": ["wbe"]}}, "target_hosts.Groups[0]: the inventory has no group 'wbe'"),
    ({"target_hosts": {"Hosts": ["web9"]}}, "target_hosts.Hosts[0]: the plan has no host 'web9'; did you mean"),
    ({"target_hosts": {"Expression": "web:&nothing"}}, "target_hosts.Expression[0]: the plan has no host 'nothing'"),
    ({"conditions": [{"variable": "a", "operator": "Equals"}]}, "conditions[0].value: missing"),
    ({"conditions": [{"variable": "a b", "operator": "Exists"}]}, "conditions[0].variable: should be the name"),
    ({"conditions": [{"variable": "a", "operator": "Like", "value": 1}]}, "conditions[0].operator: should be one of"),
    (
        {"conditions": [{"variable": "a", "operator": "LessThan", "value": "x"}]},
        "conditions[0].value: should be a number, not 'x'",
    ),
    ({"retry_policy": {"max_attempts": 3}}, "retry_policy.delay: missing"),
    ({"retry_policy": {"max_attempts": "x", "delay": 1}}, "retry_policy.max_attempts: should be a number"),
    (
        {"retry_policy": {"max_attempts": 3, "delay": 1, "backoff": "Exponential"}},
        "retry_policy.backoff: Exponential is not honoured",
    ),
    ({"failure_policy": "Rollback"}, "failure_policy: Rollback is not honoured"),
    ({"failure_policy": 3}, "failure_policy: should be Abort, Continue or Rollback, not 3"),
    ({"dependencies": ["frist"]}, "dependencies[0]: the plan has no task 'frist'; did you mean 'first'?"),
    ({"id": "first"}, "id: the id 'first' is taken already, by tasks[0]"),
    ({"target_host": "All"}, "target_host: unknown field; did you mean target_hosts?"),
]


@pytest.mark.parametrize(("fields", "words"), TASKS, ids=[words for _, words in TASKS])
def test_what_is_wrong_with_a_task(faults: Faults, fields: Json, words: str) -> None:
    found = faults(older(old_task("first"), old_task("second") | fields))
    assert len(found) == 1
    assert found[0].startswith(f"tasks[1].{words}"), found


def test_a_group_with_an_unknown_host_is_one_problem(faults: Faults) -> None:
    plan = older(old_task("t", target_hosts={"Groups": ["g"]}), groups={"g": ["web1", "nobody"]})
    assert faults(plan) == ["inventory.groups.g.hosts[1]: the plan has no host 'nobody'"]


def test_hosts_vars_may_stand_beside_the_inventory(read: Read) -> None:
    plan = older(old_task("t"), hosts={"web1": {"variables": {"a": 1, "b": 1}}, "db1": {}}, groups={})
    assert read(plan | {"hosts_vars": {"web1": {"b": 2}}}).hosts_vars == {"web1": {"a": 1, "b": 2}}


def test_what_belongs_to_the_newer_format(faults: Faults) -> None:
    found = faults(older(old_task("t")) | {"group_vars": {"web": {}}})
    assert found == ["group_vars: belongs to the format with plays; this one has an inventory"]


def test_one_wait_is_as_long_whatever_the_backoff(read: Read) -> None:
    policy = {"max_attempts": 2, "delay": 1, "backoff": "Linear"}
    assert tasks_of(read(older(old_task("t", retry_policy=policy))))["t"].retries == 1


@pytest.mark.parametrize(
    ("stock", "words"),
    [
        ({"hosts": {}}, "inventory.hosts: is empty"),
        ({"hosts": []}, "inventory.hosts: should be an object, not a list"),
        ({"hosts": {"web1": 5}}, "inventory.hosts.web1: should be an object, not 5"),
        ({"hosts": {"web1": {"variables": []}}}, "inventory.hosts.web1.variables: should be an object"),
        ({"groups": {"g": {"hosts": ["web9"]}}}, "inventory.groups.g.hosts[0]: the plan has no host 'web9'"),
        ({"groups": {"g": {"children": ["h"]}}}, "inventory.groups.g.children[0]: the plan has no group 'h'"),
        ({"groups": {"g": 5}}, "inventory.groups.g: should be a list of hosts or an object, not 5"),
        ({"groups": {"a": {"children": ["b"]}, "b": {"children": ["a"]}}}, "inventory.groups: these groups are each"),
        ({"variables": "x"}, "inventory.variables: should be an object, not 'x'"),
    ],
)
def test_what_is_wrong_with_the_inventory(faults: Faults, stock: Json, words: str) -> None:
    assert any(problem.startswith(words) for problem in faults(older(old_task("t"), **stock)))


def test_what_is_missing(faults: Faults) -> None:
    assert {problem.partition(":")[0] for problem in faults({"tasks": [{}]})} == {
        "metadata",
        "inventory",
        "inventory.hosts",
        "tasks[0].id",
        "tasks[0].module",
    }
