"""A plan by Ansible is the plan by binary: the same statuses, the same words, the same machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.deploy.ansible_files import Files
from harness.deploy.ansible_playbook import SECRETS, task_body, to_line, with_secrets
from harness.deploy.tags import reason_to_skip
from harness.models.config import BinaryOnly, DeploymentStrategy, ForceSSH
from harness.models.results import HostExecutionResult
from harness.models.runner import PayloadTask
from tests.deploy.hosts import hosts, means
from tests.projects import plan

SECRET = "{{ 7*7 }} q"
FILES = ("/etc/token", "/etc/t", "/etc/j", "/etc/u", "/etc/b", "/etc/l1", "/etc/never", "/etc/log", "/etc/number")


def task(task_id: str, module: str, args: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"task_id": task_id, "name": f"It is {task_id}", "module": module, "args": args, "hosts": ["n1"], **keywords}


def _tasks() -> list[dict[str, Any]]:
    said = {"_raw_params": "echo {{ secret('TOKEN') | quote }} > /etc/token; cat /etc/token"}
    count = {"_raw_params": "echo x >> /tmp/n; wc -l < /tmp/n"}
    text = "{% for i in x %}{{ i }}\n{% endfor %}{{ y }}"
    return [
        task("secret", "shell", said, become=True),
        task("hidden", "command", {"argv": ["echo", "{{ secret('TOKEN') }}"]}, no_log=True),
        task("nobody", "command", {"cmd": "id -un"}, become=True, become_user="nobody", changed_when=False),
        task("env", "shell", {"_raw_params": "echo $A-$B"}, environment={"A": "1"}, register="env"),
        task("until", "shell", count, register="n", until="n.stdout | int >= 2", retries=3, delay=0.1),
        task("ignored", "command", {"argv": ["false"]}, ignore_errors=True, register="bad"),
        task(
            "loop", "copy", {"content": "{{ it.k }}", "dest": "/etc/l{{ at }}"}, loop=[{"k": "a"}, {"k": "b"}],
            loop_control={"loop_var": "it", "index_var": "at"}, notify=["topic"],
        ),
        task("empty", "debug", {"msg": "{{ item }}"}, loop=[]),
        task("failed_when", "command", {"argv": ["echo"]}, register="f", failed_when="f.rc == 0", ignore_errors=True),
        task("both", "debug", {"msg": "x"}, when=["env.stdout == '1-2'", "bad is failed"]),
        task("skip", "debug", {"msg": "x"}, when="bad is succeeded"),
        task("never", "debug", {"msg": "x"}, tags=["never"]),
        task("left_out", "debug", {"msg": "x"}, tags=["slow"]),
        task("fact", "set_fact", {"x": [1, 2], "y": "{{ a }}"}, vars={"a": "{{ b }}", "b": "{{ pv }}"}),
        task("list", "debug", {"var": "x"}, when="x"),
        task("words", "command", {"argv": ["echo", "{{ x }}"]}),
        task("number", "copy", {"content": "{{ x[0] }}\n", "dest": "/etc/number"}),
        task("null", "set_fact", {"nothing": None}),
        task("nothing", "debug", {"msg": ["{{ nothing is none }}", "é"]}),
        task("options", "shell", {"_raw_params": "pwd chdir=/etc removes='/etc/passwd'"}),
        task("data", "command", {"_raw_params": "echo {{ free }}"}, vars={"free": "creates=/etc"}),
        task("unsaid", "stat", {"path": "/"}, failed_when="true", ignore_errors=True),
        task("template", "template", {"content": text, "dest": "/etc/t", "mode": "0600", "owner": "nobody"}),
        task("file", "copy", {"src": "bytes", "dest": "/etc/b"}),
        task("json", "copy", {"content": '{"a": 1,\n "b": [2]}', "dest": "/etc/j"}),
        task("unicode", "copy", {"content": "é ☃ \U0001f600 \x85 x", "dest": "/etc/u"}),
        task("checked", "copy", {"content": "x", "dest": "/etc/never"}, check_mode=True),
        task("late", "command", {"argv": ["sleep", "20"]}, timeout=1, ignore_errors=True),
        task("end", "fail", {"msg": "the end of {{ y }}"}, ignore_errors=True),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    (folder / "bytes").write_bytes(b"\xff\x00{{ no template }}")
    body = plan(*_tasks())
    play = body["plays"][0]
    play["vars"] = {"pv": "{{ inventory_hostname }}"}
    log = {"_raw_params": "echo handled >> /etc/log"}
    play["handlers"] = [
        {"handler_id": "h", "name": "H {{ pv }}", "module": "shell", "args": log, "listen": ["topic"]},
        {"handler_id": "i", "name": "I", "module": "shell", "args": log},
    ]
    (folder / "plan.json").write_text(json.dumps(body))
    return folder / "plan.json"


def _run(path: Path, strategy: DeploymentStrategy) -> tuple[HostExecutionResult, dict[str, str]]:
    tools = means(deadline=200, secrets={"TOKEN": SECRET}, env={"B": "2"}, skip_tags=("slow",))
    with hosts(path.parent, "n1") as platforms:
        deployed = platforms.run(path, strategy, tools)
        assert not deployed.failed
        shell = platforms.connections["n1"]
        found = {name: shell.run(f"stat -c '%a %U' {name}; base64 {name}").out for name in FILES}
    assert not [text for _, text in tools.told if "7*7" in text]
    return deployed.results["n1"], found


@pytest.mark.ansible
@pytest.mark.sandbox
@pytest.mark.cargo
def test_both_ways_come_to_the_same(path: Path) -> None:
    binary, machine = _run(path, BinaryOnly())
    ssh, other = _run(path, ForceSSH())
    assert (binary.error, ssh.error) == (None, None)
    assert machine == other
    assert [one.task_id for one in ssh.task_results] == [one.task_id for one in binary.task_results]
    for mine, theirs in zip(binary.task_results, ssh.task_results, strict=True):
        fields = {"status", "changed", "rc", "name", "module", "ignored", "handler", "artifacts_created", "output"}
        if mine.task_id == "late":  # each says it in its own words
            fields.discard("status")
        assert theirs.model_dump(include=fields) == mine.model_dump(include=fields)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_a_line_is_read_as_what_was_written(value: Any) -> None:
    line = to_line({"key": value})
    assert "\n" not in line
    assert yaml.safe_load(line) == json.loads(json.dumps({"key": value}))


@pytest.mark.parametrize(
    ("value", "expression", "expected"),
    [
        ("{{ secret('A') }}", False, f"{{{{ {SECRETS}['A'] }}}}"),
        ("secret('A')", False, "secret('A')"),
        ("secret('A') == x", True, f"{SECRETS}['A'] == x"),
        ({"a": ['{% if secret( "B" ) %}x{% endif %}']}, False, {"a": [f'{{% if {SECRETS}["B"] %}}x{{% endif %}}']}),
        ("{{ my_secret('A') }}", False, "{{ my_secret('A') }}"),
    ],
)
def test_secrets_are_a_variable(value: Any, expression: bool, expected: Any) -> None:
    assert with_secrets(value, expression=expression) == expected


def test_what_only_ansible_knows_is_handed_on(tmp_path: Path) -> None:
    one = PayloadTask(
        task_id="a", module="cron", args={"name": "x"}, beyond={"delegate_to": "b", "run_once": True}, timeout=0.5
    )
    body = task_body(one, Files(tmp_path))
    assert body == {"ansible.builtin.cron": {"name": "x"}, "timeout": 1, "delegate_to": "b", "run_once": True}
    assert "community.general.ufw" in task_body(
        PayloadTask(task_id="a", module="community.general.ufw"), Files(tmp_path)
    )


@pytest.mark.parametrize(
    ("tags", "only", "skip", "expected"),
    [
        ([], [], [], None),
        (["never"], [], [], "tagged never"),
        (["never", "a"], ["a"], [], None),
        (["b"], ["a"], [], "not selected by tags a"),
        (["always"], ["a"], [], None),
        (["always"], ["a"], ["always"], "not selected by tags a"),
        (["a"], [], ["a", "b"], "skipped by tags a, b"),
        ([], ["untagged"], [], None),
        (["a"], ["tagged"], [], None),
        (["always"], [], ["all"], None),
    ],
)
def test_tags_as_in_a_runner(tags: list[str], only: list[str], skip: list[str], expected: str | None) -> None:
    assert reason_to_skip(tags, only, skip) == expected
