from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InvalidInput
from harness.models.plan import Batch, Plan, PlanMetadata, Play, Task
from harness.models.runner import Payload
from harness.models.scenario import Inventory
from harness.plan import ordered_tasks, read_plan, slices
from tests.plan.conftest import Json, newer, task

Write = Callable[[Any], Path]


def payloads(path: Path, **more: Any) -> dict[tuple[str, ...], Payload]:
    found = slices(read_plan(path), source=path, **more)
    return {tuple(payload.run_on): payload for payload in found}


def ids(payload: Payload) -> list[str]:
    return [one.task_id for play in payload.plays for one in play.tasks]


def test_hosts_with_the_same_tasks_share_a_payload(write: Write) -> None:
    plan = newer(
        task("all"),
        task("web", hosts=["web1", "web2"], dependencies=["all"]),
        task("db", hosts=["db1"], dependencies=["web", "all"]),
        hosts=["web1", "web2", "db1", "idle"],
    )
    plan["plays"][0]["hosts"] = ["web1", "web2", "db1"]
    found = payloads(write(plan))
    assert {key: ids(payload) for key, payload in found.items()} == {
        ("web1", "web2"): ["all", "web"],
        ("db1",): ["all", "db"],
    }
    # A dependency on a task that is not for this host is fulfilled.
    assert found[("db1",)].plays[0].tasks[1].dependencies == ["all"]
    assert set(found[("db1",)].hosts) == {"web1", "web2", "db1", "idle"}


def test_only_the_hosts_that_are_asked_for(write: Write) -> None:
    path = write(newer(task("t")))
    assert list(payloads(path, hosts=["web2", "elsewhere"])) == [("web2",)]
    assert payloads(path, hosts=[]) == {}


def test_variables_by_precedence(write: Write) -> None:
    plan = newer(
        task("t"),
        groups={"web": {"hosts": ["web1"], "variables": {"b": "plan group"}}},
        group_vars={"all": {"a": "plan all", "b": "plan all", "c": "plan all", "d": 0, "e": 0}},
        hosts_vars={"web1": {"d": "plan host", "e": "plan host"}},
    )
    inventory = Inventory(
        hosts_vars={"web1": {"e": "scenario host"}},
        group_vars={"all": {"b": "scenario all", "c": "scenario all"}, "extra": {"f": "scenario group"}},
    )
    (payload,) = payloads(write(plan), inventory=inventory, groups={"extra": ["web1", "spare"]}).values()
    assert payload.hosts["web1"] == {
        "a": "plan all",
        "b": "plan group",
        "c": "scenario all",
        "d": "plan host",
        "e": "scenario host",
        "f": "scenario group",
    }
    assert payload.hosts["spare"]["f"] == "scenario group"
    assert payload.groups == {"all": ["web1", "web2", "spare"], "web": ["web1"], "extra": ["web1", "spare"]}


def test_a_payload_says_all_that_the_task_says(write: Write) -> None:
    keywords: Json = {
        "register": "r",
        "loop": [1, 2],
        "loop_control": {"loop_var": "x"},
        "vars": {"a": 1},
        "environment": {"E": "1"},
        "become": True,
        "become_user": "www",
        "changed_when": ["a"],
        "failed_when": ["b"],
        "ignore_errors": True,
        "until": ["c"],
        "retries": 2,
        "delay": 1.5,
        "timeout": 30.0,
        "no_log": True,
        "check_mode": False,
        "diff": True,
        "tags": ["t"],
        "when": ["d", True],
    }
    plan = newer(task("t", args={"msg": "x", "var": None}, name="Name", **keywords), metadata={"plan_id": "p"})
    plan["plays"][0]["vars"] = {"v": 1}
    (payload,) = payloads(write(plan)).values()
    data = json.loads(payload.model_dump_json(by_alias=True))
    assert Payload.model_validate(data) == payload
    assert (data["schema"], data["plan_id"], data["plays"][0]["vars"]) == (1, "p", {"v": 1})
    (made,) = data["plays"][0]["tasks"]
    assert made == {
        **keywords,
        "task_id": "t",
        "name": "Name",
        "module": "debug",
        "args": {"msg": "x"},
        "notify": [],
        "listen": [],
        "dependencies": [],
    }


def test_handlers_come_with_tasks_that_notify(write: Write) -> None:
    handlers: list[Json] = [
        {"handler_id": "task_0", "name": "Second", "module": "debug", "execution_order": 2},
        {"handler_id": "h", "module": "debug", "listen": "topic", "conditions": [{"Only": {"hosts": ["web1"]}}]},
    ]
    plan = newer(
        task("task_0", hosts=["web1"], notify=["Second", "topic", "h"]), task("b", hosts=["web2"]), handlers=handlers
    )
    found = payloads(write(plan))
    made = found[("web1",)].plays[0].handlers
    assert [(one.task_id, one.name) for one in made] == [("h", "h"), ("task_0", "Second")]
    assert made[0].when == ['inventory_hostname in ["web1"]']
    assert found[("web2",)].plays[0].handlers == []


def test_files_travel_in_the_payload(write: Write, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "files" / "text").write_text("plain\r\n")
    (tmp_path / "marked").write_text("{{ stays }}")
    (tmp_path / "bytes").write_bytes(b"\xff\x00")
    (tmp_path / "templates" / "t.j2").write_text("{{ expanded }}\r\n", newline="")
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "marked").chmod(0o640)
    tasks: dict[str, Json] = {
        "text": {"src": "text"},
        "marked": {"src": "marked", "mode": "preserve"},
        "bytes": {"src": str(tmp_path / "bytes")},
        "link": {"src": "link"},
        "remote": {"src": "text", "remote_src": True},
        "content": {"content": "{{ x }}", "mode": 420},
    }
    plan = newer(
        *[task(name, "copy", args={"dest": "/a/", **args}) for name, args in tasks.items()],
        task("template", "ansible.builtin.template", args={"src": "t.j2", "dest": "/a"}),
        task("archive", "ansible.builtin.unarchive", args={"src": "text", "dest": "/a"}),
    )
    (payload,) = payloads(write(plan)).values()
    made = {one.task_id: {**one.args} for one in payload.plays[0].tasks}
    # Bytes stay bytes: the line ends too.
    assert made["text"] == {"dest": "/a/", "_original_basename": "text", "content": "plain\r\n"}
    # copy copies what is there: the runner would expand `content`.
    assert base64.b64decode(str(made["marked"]["content_b64"])) == b"{{ stays }}"
    assert made["marked"]["mode"] == "0640"
    assert base64.b64decode(str(made["bytes"]["content_b64"])) == b"\xff\x00"
    assert made["link"]["content"] == Path("/etc/hostname").read_text()
    assert made["remote"] == {"dest": "/a/", "src": "text", "remote_src": True}
    assert made["content"]["mode"] == "0644"
    assert made["archive"] == {"dest": "/a", "_original_basename": "text", "content_b64": "cGxhaW4NCg=="}
    assert made["template"] == {"dest": "/a", "_original_basename": "t.j2", "content": "{{ expanded }}\r\n"}


def test_secrets_are_those_of_the_slice(write: Write) -> None:
    plan = newer(
        task("one", hosts=["web1"], args={"msg": "{{ secret('ONE') }}"}),
        task("two", hosts=["web2"], when="secret('TWO')"),
    )
    path = write(plan)
    found = payloads(path, secrets=["ONE", "TWO", "SPARE"])
    assert {key: payload.secrets for key, payload in found.items()} == {("web1",): ["ONE"], ("web2",): ["TWO"]}
    with pytest.raises(InvalidInput) as caught:
        payloads(path, secrets=["TWO"])
    assert "the secret 'ONE' is not declared" in str(caught.value.problems[0])


def test_a_file_that_is_missing_has_its_place(write: Write) -> None:
    path = write(newer(task("t", "copy", args={"src": "none", "dest": "/a"})))
    with pytest.raises(InvalidInput) as caught:
        payloads(path)
    assert caught.value.problems[0].where == "plan.json: plays[0].batches[0].tasks[0].args.src"


def test_tags_that_a_task_shuns(write: Write) -> None:
    path = write(newer(task("t", conditions=[{"SkipTag": {"tags": ["slow", "x"]}}])))
    assert payloads(path)[("web1", "web2")].plays[0].tasks[0].when == []
    assert payloads(path, tags=["slow"])[("web1", "web2")].plays[0].tasks[0].when == [False]


HOSTS = ["a", "b", "c"]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    tasks = [
        Task(task_id=f"t{index}", module="debug", hosts=sorted(draw(st.sets(st.sampled_from(HOSTS)))))
        for index in range(draw(st.integers(0, 12)))
    ]
    cut = draw(st.integers(0, len(tasks)))
    plays = [
        Play(play_id=name, batches=[Batch(batch_id="b", tasks=part)])
        for name, part in (("p", tasks[:cut]), ("q", tasks[cut:]))
    ]
    return Plan(metadata=PlanMetadata(plan_id="x"), plays=plays, hosts=HOSTS)


@settings(max_examples=50, deadline=None)
@given(plans())
def test_the_slices_together_lose_no_task(plan: Plan) -> None:
    found = slices(plan, source=Path("plan.json"))
    for host in HOSTS:
        mine = [one.task_id for one in ordered_tasks(plan) if host in one.hosts]
        of_host = [ids(payload) for payload in found if host in payload.run_on]
        assert of_host == ([mine] if mine else [])
    assert len({json.dumps(ids(payload)) for payload in found}) == len(found)
