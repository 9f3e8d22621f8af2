from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.compile.base import Honours
from harness.models.plan import Plan
from harness.plan import check_file, check_plan, plan_warnings, read_plan, run_options, secrets_of
from tests.plan.conftest import Json, newer, old_task, older, task

Write = Callable[[Any], Path]
PLACE = "plays[0].batches[0].tasks[0]."


def problems(path: Path, honours: Honours | None = None, **more: Any) -> list[str]:
    given: dict[str, Any] = {"platforms": None, **more}
    found = check_plan(read_plan(path), honours=honours, source=path, **given)
    return [str(problem).removeprefix("plan.json: ") for problem in found]


ARGUMENTS: list[tuple[str, Json, str]] = [
    ("flie", {}, "module: the module 'flie' is not honoured; did you mean file?"),
    ("file", {"path": "/a", "stat": "file"}, "args.stat: file has no argument 'stat'; did you mean state?"),
    ("file", {"state": "file"}, "args: file needs path"),
    ("file", {"path": "/a", "dest": "/b"}, "args.dest: path is given twice"),
    ("file", {"path": "/a", "state": "folder"}, "args.state: should be one of absent, directory"),
    ("file", {"path": "/a", "state": ["file"]}, "args.state: should be one of"),
    ("copy", {"dest": "/a"}, "args: copy needs one of content, src"),
    ("copy", {"content": "x"}, "args: copy needs dest"),
    ("file", {"_raw_params": "path=/a", "path": "/a"}, "args._raw_params: file takes no free-form text"),
    ("set_fact", {"a-b": 1}, "args.a-b: 'a-b' is no name for a variable"),
    ("file", {"path": "/a", "mode": 644}, "args.mode: 644 as a number is the octal mode 1204"),
    ("file", {"path": "/a", "mode": 755}, "args.mode: 755 as a number"),
    ("file", {"path": "/a", "mode": "0999"}, "args.mode: should be an octal mode"),
    ("file", {"path": "/a", "mode": "u=rq"}, "args.mode: should be an octal mode"),
    ("file", {"path": "/a", "mode": True}, "args.mode: should be an octal mode"),
    ("file", {"path": "/a", "mode": 99999}, "args.mode: 99999 is no mode"),
    ("command", {}, "args: command needs one of argv, cmd"),
    ("user", {"name": "a", "local": True}, "args.local: user has no argument 'local'"),
    (
        "unarchive",
        {"src": "/a", "remote_src": True, "dest": "/b", "extra_opts": ["--strip-components=1", "--sparse"]},
        "args.extra_opts[1]: '--sparse' is not honoured",
    ),
]


@pytest.mark.parametrize(("module", "args", "words"), ARGUMENTS, ids=[case[2] for case in ARGUMENTS])
def test_arguments_that_are_wrong(write: Write, honours: Honours, module: str, args: Json, words: str) -> None:
    found = problems(write(newer(task("t", module, args=args))), honours)
    assert len(found) == 1
    assert found[0].startswith(PLACE + words)


@pytest.mark.parametrize(
    ("module", "args"),
    [
        ("ansible.builtin.file", {"dest": "/a", "state": "{{ state }}", "mode": "{{ mode }}"}),
        ("ansible.legacy.command", "echo hi"),
        ("command", {"_raw_params": "true"}),
        ("file", {"path": "/a", "mode": 420}),
        ("file", {"path": "/a", "mode": 493, "owner": None, "state": None}),
        ("file", {"path": "/a", "mode": "u=rwX,g-w,o="}),
        ("copy", {"content": "x", "dest": "/a", "mode": "preserve"}),
        ("set_fact", {"anything": {"goes": [1]}, "cacheable": True}),
        ("apt", {"name": "git", "upgrade": True}),
        ("template", {"content": "{{ x }}", "dest": "/a", "newline_sequence": "\n"}),
    ],
)
def test_arguments_that_are_right(write: Write, honours: Honours, module: str, args: Any) -> None:
    assert problems(write(newer(task("t", module, args=args))), honours) == []


def test_what_ansible_could_do_is_said(write: Write, honours: Honours) -> None:
    plan = newer(
        task("a", "slurp", args={"src": "/a"}),
        task("b", "file", args={"path": "/a", "attributes": "i"}),
        task("c", "nobodys_module"),
        task("d", delegate_to="web1"),
    )
    path = write(plan)

    def said(honours: Honours) -> list[bool]:
        found = check_plan(read_plan(path), honours=honours, source=path, platforms=plan["hosts"])
        return ["`strategy: hybrid` has Ansible do this task" in (problem.hint or "") for problem in found]

    assert said(replace(honours, parts=True)) == [True, True, False, True]
    assert said(honours) == [False] * 4  # its runners cannot share a plan


KEYWORDS: list[tuple[Json, str]] = [
    ({"with_items": [1]}, "with_items: the keyword with_items is not honoured"),
    ({"delegate_to": "web1"}, "delegate_to: the keyword delegate_to is not honoured"),
    ({"run_once": True}, "run_once: the keyword run_once is not honoured"),
    ({"async": 30, "poll": 0}, "async: the keyword async is not honoured"),
    ({"block": []}, "block: the keyword block is not honoured"),
    ({"become_method": "su"}, "become_method: the keyword become_method is not honoured"),
]


@pytest.mark.parametrize(("fields", "words"), KEYWORDS, ids=[words for _, words in KEYWORDS])
def test_keywords_that_are_not_honoured(write: Write, honours: Honours, fields: Json, words: str) -> None:
    assert problems(write(newer(task("t") | fields)), honours)[0].startswith(PLACE + words)


def test_keywords_that_would_do_nothing_are_no_matter(write: Write, honours: Honours) -> None:
    idle = {"run_once": False, "delegate_to": None, "async": 0, "any_errors_fatal": False, "throttle": 0}
    assert problems(write(newer(task("t", loop_items=None) | idle)), honours) == []


def test_keywords_that_the_compiler_lacks(write: Write) -> None:
    honours = Honours(modules={}, keywords=frozenset({"when"}))
    plan = newer(task("t", "x", when="a", register="r", notify=["h"]), handlers=[{"handler_id": "h", "module": "x"}])
    found = problems(write(plan), honours)
    assert PLACE + "register: the keyword register is not honoured" in found
    assert PLACE + "notify: the keyword notify is not honoured" in found
    assert "plays[0].handlers[0].module: the module 'x' is not honoured" in found


def test_keywords_of_a_play(write: Write, honours: Honours) -> None:
    plan = newer(task("t"))
    plan["plays"][0] |= {"roles": ["web"], "pre_tasks": [], "gather_facts": False}
    assert problems(write(plan), honours) == ["plays[0].roles: the keyword roles is not honoured in a play"]


def test_a_host_without_a_platform(write: Write) -> None:
    found = problems(write(newer(task("t"))), platforms=["web1", "wbe2"])
    assert found == ["hosts[1]: the host 'web2' has no platform of that name"]
    found = problems(write(older(old_task("t"))), platforms=["web1", "db1"])
    assert found == ["inventory.hosts.web2: the host 'web2' has no platform of that name"]


def test_secrets(write: Write, tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text("{{ secret('IN_FILE') }}")
    plan = newer(
        task("t", args={"msg": "{{ secret('TOKEN') }} {{ secret(\"OTHER\") }}"}, when="secret('WHEN') != ''"),
        task("u", "template", args={"src": "a.j2", "dest": "/a"}),
        hosts_vars={"web1": {"password": "{{ secret('VARIABLE') }}"}},
    )
    path = write(plan)
    assert set(secrets_of(read_plan(path), path)) == {"TOKEN", "OTHER", "WHEN", "IN_FILE", "VARIABLE"}
    found = problems(path, secrets=["OTHER", "WHEN", "IN_FILE"])
    assert found == [
        f"{PLACE}args.msg: the secret 'TOKEN' is not declared",
        "hosts_vars.web1.password: the secret 'VARIABLE' is not declared",
    ]


def test_files_beside_the_plan(write: Write, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.j2").write_text("{% for %}")
    sources = ["nothing.txt", "folder", "{{ item }}", "a\0b"]
    plan = newer(
        *[task(f"t{index}", "copy", args={"src": src, "dest": "/a"}) for index, src in enumerate(sources)],
        task("t", "template", args={"src": "bad.j2", "dest": "/a"}),
        task("own", "template", args={"src": "bad.j2", "dest": "/a", "block_start_string": "<%"}),
        task("remote", "copy", args={"src": "nothing.txt", "dest": "/a", "remote_src": "yes"}),
    )
    found = problems(write(plan))
    assert len(found) == 5
    assert "there is no file 'nothing.txt'; looked for" in found[0]
    assert f"{tmp_path / 'folder'} is a folder" in found[1]
    assert "must be known before the run" in found[2]
    assert "cannot be read" in found[3]
    assert "bad.j2 is no valid Jinja" in found[4]


def test_warnings(write: Write) -> None:
    plan = newer(
        task("t", hosts=["web1"]),
        task("nobody", hosts=[]),
        handlers=[{"handler_id": "h", "name": "Idle", "module": "debug"}],
        total_tasks=7,
    )
    plan["plays"][0] |= {"serial": "30%"}
    plan["plays"][0]["batches"].append({"batch_id": "b1", "hosts": ["web2"], "tasks": [task("stray", hosts=["web1"])]})
    path = write(plan)
    found = [str(one) for one in plan_warnings(read_plan(path), platforms=["web1", "spare"], source=path)]
    assert found == [
        "plan.json: no task is for the platform 'spare'",
        "plan.json: no task is for the host 'web2'",
        "plan.json: total_tasks: says 7, but the plan has 3 tasks",
        "plan.json: plays[0].batches[0].tasks[1].hosts: the task 'nobody' is for no host: it never runs",
        "plan.json: plays[0].serial: hosts are worked on side by side: the order from host to host is not kept",
        "plan.json: plays[0].batches[1].tasks[0].hosts: 'web1': not among the hosts of its batch, but it runs there",
        "plan.json: plays[0].handlers[0]: nothing notifies the handler 'Idle'",
    ]


def test_a_good_plan_warns_of_nothing(write: Write) -> None:
    path = write(newer(task("t")))
    assert plan_warnings(read_plan(path), platforms=["web1", "web2"], source=path) == []


def test_everything_at_once(write: Write, honours: Honours) -> None:
    plan = newer(task("a", "flie", dependencies=["zzz"]), task(5, "copy", args={"src": "none", "dest": "/a"}))
    path = write(plan)
    checked = check_file(path, honours=honours, platforms=["web1"], secrets=[])
    assert [problem.where.partition(": ")[2] for problem in checked.errors] == [
        "plays[0].batches[0].tasks[1].task_id",
        "plays[0].batches[0].tasks[0].dependencies[0]",
        "hosts[1]",
        "plays[0].batches[0].tasks[0].module",
        "plays[0].batches[0].tasks[1].args.src",
    ]


def test_run_options(read: Callable[[Any], Plan]) -> None:
    plan = newer(task("t"))
    plan["metadata"]["planning_options"] = {"tags": "a,b", "skip_tags": [], "check_mode": True, "diff_mode": False}
    found = run_options(read(plan))
    assert (found.tags, found.skip_tags, found.check_mode, found.diff_mode) == (("a", "b"), (), True, False)
