from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.models.plan import Plan
from tests.plan.conftest import Json, newer, task, tasks_of

Read = Callable[[Any], Plan]
Faults = Callable[[Any], list[str]]


def as_rustle_plan_prints_it() -> Json:
    """The shape of a real one: a handler's id collides with a task's, a play for a group has no hosts at all."""
    first = {
        "task_id": "task_0",
        "name": "Install",
        "module": "package",
        "args": {"name": "git", "state": "present"},
        "hosts": ["localhost"],
        "dependencies": [],
        "conditions": [
            {"Tag": {"tags": ["setup"]}},
            {"When": {"expression": "ansible_os_family == 'Debian'"}},
            {"CheckMode": {"enabled": False}},
        ],
        "tags": ["setup"],
        "notify": ["restart service"],
        "execution_order": 0,
        "can_run_parallel": False,
        "estimated_duration": None,
        "risk_level": "High",
    }
    second = {**first, "task_id": "task_1", "module": "command", "args": {"_raw_params": "/bin/true"}, "conditions": []}
    batch: Json = {"parallel_groups": [], "dependencies": [], "estimated_duration": None}
    handler = {
        "handler_id": "task_0",
        "name": "restart service",
        "module": "service",
        "args": {"name": "example", "state": "restarted"},
        "conditions": [],
        "execution_order": 0,
    }
    play = {"strategy": {"Rolling": {"batch_size": 2}}, "serial": None, "estimated_duration": {"secs": 1, "nanos": 5}}
    return {
        "metadata": {
            "created_at": "2025-07-11T05:18:16.945474123Z",
            "rustle_plan_version": "0.1.0",
            "playbook_hash": "8f",
            "inventory_hash": "6a",
            "planning_options": {"limit": None, "tags": ["a"], "skip_tags": ["b"], "check_mode": True, "forks": 50},
        },
        "plays": [
            {
                **play,
                "play_id": "play-0",
                "name": "First",
                "hosts": ["localhost"],
                "batches": [{**batch, "batch_id": "binary-batch", "hosts": ["localhost"], "tasks": [first, second]}],
                "handlers": [handler],
            },
            {
                **play,
                "play_id": "play-1",
                "name": "For a group that rustle-plan did not resolve",
                "hosts": [],
                "batches": [
                    {
                        **batch,
                        "batch_id": "binary-batch",
                        "hosts": [],
                        "tasks": [{**second, "task_id": "task_0", "hosts": [], "notify": []}],
                    },
                ],
                "handlers": [],
            },
        ],
        "binary_deployments": [
            {"deployment_id": "group_0", "target_hosts": ["localhost"], "tasks": ["task_0", "task_1"], "modules": []}
        ],
        "total_tasks": 3,
        "estimated_duration": {"secs": 29, "nanos": 663500000},
        "estimated_compilation_time": None,
        "parallelism_score": 0.33333334,
        "network_efficiency_score": 0.2,
        "hosts": ["localhost"],
    }


def test_a_plan_as_rustle_plan_prints_it(read: Read) -> None:
    plan = read(as_rustle_plan_prints_it())
    assert plan.source_format == "rustle-plan"
    assert (plan.metadata.run_tags, plan.metadata.skip_tags) == (["a"], ["b"])
    assert (plan.metadata.check_mode, plan.metadata.diff_mode) == (True, False)
    tasks = tasks_of(plan)
    assert tasks["task_0"].when == ["ansible_os_family == 'Debian'", "not ansible_check_mode"]
    assert tasks["task_0"].tags == ["setup"]
    assert plan.model_extra is not None and plan.model_extra["parallelism_score"] == 0.33333334


def test_ids_that_begin_anew_with_each_play_are_told_apart(read: Read) -> None:
    """rustle-parse numbers the tasks of every play from task_0."""
    plan = as_rustle_plan_prints_it()
    later = plan["plays"][1]["batches"][0]
    later["tasks"] = [
        task("task_0", hosts=["localhost"]),
        task("task_1", hosts=["localhost"], dependencies=["task_0"]),
        task("task_9", hosts=["localhost"], dependencies=["task_1"]),
    ]
    found = tasks_of(read(plan))
    assert list(found) == ["task_0", "task_1", "play-1.task_0", "play-1.task_1", "task_9"]
    assert found["play-1.task_1"].dependencies == ["play-1.task_0"]
    assert found["task_9"].dependencies == ["play-1.task_1"]


def test_ids_that_a_person_gave_are_not(faults: Faults) -> None:
    plan = newer(task("install"))
    plan["plays"].append({"play_id": "play-1", "batches": [{"batch_id": "b", "tasks": [task("install")]}]})
    words = "plays[1].batches[0].tasks[0].task_id: the id 'install' is taken already, by plays[0].batches[0].tasks[0]"
    assert faults(plan) == [words]


def test_a_rolling_plan_repeats_its_tasks_for_other_hosts(read: Read) -> None:
    plan = newer()
    plan["plays"][0]["batches"] = [
        {
            "batch_id": f"rolling-{host}",
            "hosts": [host],
            "tasks": [task("a", hosts=[host]), task("b", hosts=[host], dependencies=["a"])],
        }
        for host in ("web1", "web2")
    ]
    assert len(read(plan).plays[0].batches) == 2


def test_hosts_come_from_the_nearest_level(read: Read) -> None:
    plan = newer(task("plan"), task("own", hosts=["c"]), task("pattern", hosts="all:!b"), hosts=["a", "b", "c"])
    assert tasks_of(read(plan))["plan"].hosts == ["a", "b", "c"]
    plan["plays"][0]["hosts"] = ["a", "b"]
    assert tasks_of(read(plan))["plan"].hosts == ["a", "b"]
    plan["plays"][0]["batches"][0]["hosts"] = ["b"]
    found = tasks_of(read(plan))
    assert [found[name].hosts for name in ("plan", "own", "pattern")] == [["b"], ["c"], ["a", "c"]]


def test_conditions_and_keywords_add_up(read: Read) -> None:
    conditions = [
        {"When": {"expression": "a"}},
        {"Skip": {"condition": "b or c"}},
        {"Only": {"hosts": ["web2"]}},
        {"Tag": {"tags": ["x"]}},
    ]
    found = tasks_of(read(newer(task("t", conditions=conditions, when=["d", "a"], tags="y,z"))))["t"]
    assert found.when == ["a", "not (b or c)", "d"]
    assert found.tags == ["y", "z", "x"]
    assert found.hosts == ["web2"]
    assert found.conditions == conditions


def test_a_host_condition_is_a_pattern_or_a_part_of_the_name(read: Read) -> None:
    tasks = [task(name, conditions=[{"Host": {"pattern": name}}]) for name in ("web*", "b1", "eb")]
    found = tasks_of(read(newer(*tasks, hosts=["web1", "web2", "db1"])))
    assert [one.hosts for one in found.values()] == [["web1", "web2"], ["web1", "db1"], ["web1", "web2"]]


def test_keywords_are_accepted_as_ansible_accepts_them(read: Read) -> None:
    given = task(
        "t",
        become="yes",
        become_user="www",
        when="{{ x }}",
        until="r.rc == 0",
        register="r",
        retries="3",
        delay=2,
        timeout={"secs": 1, "nanos": 500000000},
        no_log="on",
        ignore_errors="{{ lenient }}",
        changed_when=False,
        failed_when=["r.rc > 1", "not ok"],
        notify="h",
        environment=[{"A": 1}, {"A": 2, "B": "x"}],
        loop="{{ xs }}",
        loop_control={"loop_var": "x", "pause": "0.5"},
        args="echo hello",
    )
    found = tasks_of(read(newer(given, handlers=[{"handler_id": "h", "module": "debug", "listen": "topic"}])))["t"]
    assert (found.become, found.become_user, found.no_log, found.ignore_errors) == (True, "www", True, "{{ lenient }}")
    assert (found.when, found.until, found.changed_when) == (["x"], ["r.rc == 0"], [False])
    assert (found.retries, found.delay, found.timeout) == (3, 2.0, 1.5)
    assert (found.register_, found.notify) == ("r", ["h"])
    assert found.environment == {"A": 2, "B": "x"}
    assert found.loop_control == {"loop_var": "x", "pause": 0.5}
    assert found.args == {"_raw_params": "echo hello"}


def test_a_play_hands_its_keywords_down(read: Read) -> None:
    plan = newer(task("a", tags=["own"], environment={"B": "2"}), task("b", become=False))
    plan["plays"][0] |= {"become": True, "tags": "all_of_it", "environment": {"A": "1", "B": "1"}, "no_log": False}
    found = tasks_of(read(plan))
    assert (found["a"].become, found["b"].become) == (True, False)
    assert found["a"].tags == ["all_of_it", "own"]
    assert found["a"].environment == {"A": "1", "B": "2"}


def test_unknown_extra_fields_are_kept(read: Read) -> None:
    plan = newer(task("t", cost=5, cls="x", _fields_set=[1], model_config={}), source_format="mine", self=1)
    plan["metadata"]["author"] = "me"
    found = read(plan)
    extra = tasks_of(found)["t"].model_extra
    assert extra == {"cost": 5, "cls": "x", "_fields_set": [1], "model_config": {}}
    assert found.source_format == "rustle-plan"
    assert found.metadata.model_extra == {"author": "me"}


def test_the_variables_of_a_template_module_are_the_task_s(read: Read) -> None:
    args = {"src": "a.j2", "dest": "/a", "variables": {"x": 1, "y": 2}}
    found = tasks_of(read(newer(task("t", "template", args=args, vars={"y": 3}))))["t"]
    assert found.vars == {"x": 1, "y": 3}
    assert "variables" not in found.args


def test_groups_and_variables_in_the_plan(read: Read) -> None:
    plan = newer(
        task("t", hosts=["web"]),
        groups={"web": ["web1", "web2"], "site": {"children": ["web"], "variables": {"a": 1}}},
        group_vars={"all": {"a": 0}, "web": {"a": 2}},
        host_vars={"web1": {"b": 1}},
    )
    found = read(plan)
    assert found.groups["site"] == ["web1", "web2"]
    assert list(found.group_vars) == ["all", "site", "web"]
    assert tasks_of(found)["t"].hosts == ["web1", "web2"]
    assert found.hosts_vars == {"web1": {"b": 1}}


def test_a_plan_survives_the_way_through_json(read: Read) -> None:
    plan = read(as_rustle_plan_prints_it())
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan


CASES: list[tuple[str, Callable[[Json], object], str]] = [
    ("no id", lambda p: p["plays"][0]["batches"][0]["tasks"][0].pop("task_id"), "tasks[0].task_id: missing"),
    ("no module", lambda p: p["plays"][0]["batches"][0]["tasks"][0].pop("module"), "tasks[0].module: missing"),
    ("no metadata", lambda p: p.pop("metadata"), "metadata: missing"),
    ("no hosts", lambda p: p.pop("hosts"), "hosts: missing"),
    ("hosts empty", lambda p: p.update(hosts=[]), "hosts: is empty"),
    ("host is a number", lambda p: p.update(hosts=["web1", 5]), "hosts[1]: should be text, not 5"),
    ("host is a pattern", lambda p: p.update(hosts=["web*"]), "hosts[0]: should be the name of a host"),
    ("plays is an object", lambda p: p.update(plays={}), "plays: should be a list, not an object"),
    ("play is null", lambda p: p["plays"].append(None), "plays[1]: should be an object, not nothing"),
    ("no batches", lambda p: p["plays"][0].pop("batches"), "plays[0].batches: missing"),
    ("batch is text", lambda p: p["plays"][0]["batches"].append("x"), "batches[1]: should be an object, not 'x'"),
    ("task is a list", lambda p: p["plays"][0]["batches"][0]["tasks"].append([]), "tasks[2]: should be an object"),
    ("date", lambda p: p["metadata"].update(created_at="yesterday"), "metadata.created_at: should be a time"),
    ("total", lambda p: p.update(total_tasks="many"), "total_tasks: should be a number, not 'many'"),
    ("deployments", lambda p: p.update(binary_deployments=[3]), "binary_deployments[0]: should be an object, not 3"),
    (
        "deployment of no task",
        lambda p: p.update(binary_deployments=[{"tasks": ["fist"], "target_hosts": ["web9"]}]),
        "binary_deployments[0].tasks[0]: the plan has no task 'fist'; did you mean 'first'?",
    ),
    ("host vars", lambda p: p.update(hosts_vars={"web9": {}}), "hosts_vars.web9: the plan has no host 'web9'"),
]


@pytest.mark.parametrize(("break_it", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_wrong_is_named_by_its_path(faults: Faults, break_it: Callable[[Json], object], words: str) -> None:
    plan = newer(task("first"), task("second"))
    break_it(plan)
    assert any(words in problem for problem in faults(plan)), faults(plan)


MISPLACED: list[tuple[Callable[[Json], object], str]] = [
    (lambda p: p.update(tasks=[]), "tasks: belongs to the older format"),
    (lambda p: p["plays"][0].update(register="x"), "plays[0].register: is nothing that a play can say"),
    (
        lambda p: p["plays"][0]["batches"][0].update(when="x"),
        "plays[0].batches[0].when: is nothing that a batch can say",
    ),
    (lambda p: p["plays"][0]["handlers"][0].update(dependencies=["a"]), "plays[0].handlers[0].dependencies: a handler"),
]


@pytest.mark.parametrize(("change", "words"), MISPLACED, ids=[words for _, words in MISPLACED])
def test_what_would_be_read_and_ignored(faults: Faults, change: Callable[[Json], object], words: str) -> None:
    plan = newer(task("t", notify=["h"]), handlers=[{"handler_id": "h", "module": "debug"}])
    change(plan)
    (problem,) = faults(plan)
    assert problem.startswith(words)


TASKS: list[tuple[Json, str]] = [
    ({"args": 5}, "args: should be an object, not 5"),
    ({"args": ["a"]}, "args: should be an object, not a list"),
    ({"hosts": ["web3"]}, "hosts[0]: the plan has no host 'web3'; did you mean"),
    ({"hosts": {"web1": 1}}, "hosts: should be a list of text, not an object"),
    ({"dependencies": [1]}, "dependencies[0]: should be text, not 1"),
    ({"execution_order": -1}, "execution_order: should be zero or more, not -1"),
    ({"execution_order": 1.5}, "execution_order: should be a whole number, not 1.5"),
    ({"estimated_duration": {"secs": 1}}, "estimated_duration.nanos: should be a whole number"),
    ({"when": 3}, "when: should be an expression or true or false, not 3"),
    ({"when": ["a", {}]}, "when[1]: should be an expression or true or false, not an object"),
    ({"when": " "}, "when: is an empty expression"),
    ({"when": "a ="}, "when: is no valid Jinja"),
    ({"conditions": [{"When": {"expression": "a b"}}]}, "conditions[0].When: is no valid Jinja"),
    ({"conditions": [{"When": {}}]}, "conditions[0].When.expression: missing"),
    ({"conditions": [{"Whenn": {}}]}, "conditions[0]: unknown condition 'Whenn'; known are When,"),
    ({"conditions": [{"When": {"expression": 1}}, 7]}, "conditions[0].When.expression: should be an expression"),
    ({"conditions": [{"Only": {"hosts": ["nobody"]}}]}, "conditions[0].Only.hosts[0]: the plan has no host 'nobody'"),
    ({"args": {"msg": "{{ a }"}}, "args.msg: is no valid Jinja"),
    ({"args": {"msg": "{{ a"}}, "args.msg: is no valid Jinja"),
    ({"args": {"msg": "{{ a }} and {% if b"}}, "args.msg: is no valid Jinja"),
    ({"args": {"list": ["x", {"y": "{% if %}"}]}}, "args.list[1].y: is no valid Jinja"),
    ({"vars": {"a": "{{ }}"}}, "vars.a: is no valid Jinja"),
    ({"args": {"msg": "{{ secret(name) }}"}}, "args.msg: secret() takes one name in quotes"),
    ({"register": "a-b"}, "register: should be the name of a variable"),
    ({"register": "true"}, "register: should be the name of a variable"),
    ({"loop": 3}, "loop: should be a list or an expression that gives one, not 3"),
    ({"loop_control": {"loopvar": "x"}}, "loop_control.loopvar: unknown key; did you mean loop_var?"),
    ({"loop_control": {"pause": "x"}}, "loop_control.pause: should be a number"),
    ({"become": "perhaps"}, "become: should be true or false, not 'perhaps'"),
    ({"no_log": "{{ x }}"}, "no_log: a template is not honoured here"),
    ({"retries": "{{ n }}"}, "retries: a template is not honoured here"),
    ({"retries": [1]}, "retries: should be a number, not a list"),
    ({"timeout": -1}, "timeout: should be zero or more, not -1"),
    ({"environment": {"A": [1]}}, "environment.A: should be text or a number"),
    ({"environment": {"A=B": "1"}}, "environment: 'A=B' is no name of an environment variable"),
    ({"tags": {"a": 1}}, "tags: should be a list of text, not an object"),
    ({"notify": [None]}, "notify[0]: should be text, not nothing"),
    ({"notify": ["nobody"]}, "notify[0]: the play has no handler 'nobody'"),
    ({"task_id": ""}, "task_id: is empty"),
    ({"task_id": "a\x1b[31m"}, "task_id: holds a control character"),
    ({"whne": "x"}, "whne: unknown field; did you mean when?"),
    ({"Register": "x"}, "Register: unknown field; did you mean register?"),
    ({"tag": ["x"]}, "tag: unknown field; did you mean tags?"),
    ({"host": "web1"}, "host: unknown field; did you mean hosts?"),
    ({"dependency": ["x"]}, "dependency: unknown field; did you mean dependencies?"),
]


@pytest.mark.parametrize(("fields", "words"), TASKS, ids=[words for _, words in TASKS])
def test_what_is_wrong_with_a_task(faults: Faults, fields: Json, words: str) -> None:
    found = faults(newer(task("fine"), task("odd") | fields))
    assert len(found) == 1
    assert found[0].startswith(f"plays[0].batches[0].tasks[1].{words}"), found


def test_all_problems_at_once(faults: Faults) -> None:
    plan = newer(
        task("a", dependencies=["b"]), task("b", dependencies=["a"]), task("b", when="("), task(5), hosts=["web1"]
    )
    plan["metadata"] = []
    found = faults(plan)
    assert [problem.partition(":")[0] for problem in found] == [
        "metadata",
        "plays[0].batches[0].tasks[3].task_id",
        "plays[0].batches[0].tasks[2].task_id",
        "plays[0].batches[0].tasks[0].dependencies",
        "plays[0].batches[0].tasks[2].when",
    ]


def test_what_is_no_plan(faults: Faults) -> None:
    assert "a plan is an object, not a list" in faults([])[0]
    assert "it lacks `plays`" in faults({"foo": 1})[0]
