"""Compilers that are not ours, as a person meets them: `harness plan convert`, and scenarios that name one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.compile import host_target
from harness.compile.rustle import VARIABLE
from tests.projects import Project
from tests.tools import Tool

TASK_FIELDS = {"can_run_parallel", "conditions", "dependencies", "estimated_duration", "hosts", "notify", "risk_level"}
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "go-compiler"
PLAN_FIELDS = {"metadata", "plays", "binary_deployments", "total_tasks", "estimated_duration", "hosts"}


def plan_of(*tasks: dict[str, Any], **keys: Any) -> dict[str, Any]:
    plays = [{"play_id": "p", "batches": [{"batch_id": "b", "tasks": list(tasks)}]}]
    return {"metadata": {}, "hosts": ["node1"], "plays": plays, **keys}


OLDER = {
    "metadata": {"version": "1.0", "plan_id": "x"},
    "tasks": [
        {"id": "b", "module": "ansible.builtin.file", "args": {"dest": "/b", "mode": 384}, "dependencies": ["a"]},
        {"id": "a", "module": "command", "args": {"_raw_params": "true"}, "name": "Nothing"},
        {"id": "c", "module": "wait_for", "args": {"port": "80", "timeout": "3"}},
    ],
    "inventory": {"hosts": {"node1": {}, "node2": {}}},
}
WANTED = [
    ("a", "Nothing", "command", {"_raw_params": "true"}, 0),
    ("b", "", "file", {"path": "/b", "mode": "0600"}, 1),
    ("c", "", "wait_for", {"port": 80, "timeout": 3}, 2),
]


def test_a_plan_of_the_older_format(project: Project) -> None:
    """In the order of the run, arguments under the names and in the forms that it reads, every field there."""
    (project.folder / "older.json").write_text(json.dumps(OLDER))
    plan = json.loads(project.passes("plan", "convert", "older.json").out)
    tasks = plan["plays"][0]["batches"][0]["tasks"]
    assert [(t["task_id"], t["name"], t["module"], t["args"], t["execution_order"]) for t in tasks] == WANTED
    assert all(set(task) >= TASK_FIELDS for task in tasks)
    assert set(plan) >= PLAN_FIELDS
    (deployment,) = plan["binary_deployments"]
    assert deployment["target_hosts"] == ["node1", "node2"]
    assert deployment["compilation_requirements"]["target_triple"] == host_target()
    assert plan["metadata"]["playbook_hash"] in deployment["controller_endpoint"]


def test_a_plan_for_each_list_of_tasks(project: Project) -> None:
    tasks = [{"task_id": name, "module": "debug", "args": {"msg": name}, "hosts": [name]} for name in ("web1", "db1")]
    (project.folder / "plan.json").write_text(json.dumps(plan_of(*tasks, hosts=["web1", "db1"])))
    outcome = project.run("plan", "convert", "plan.json")
    assert (outcome.code, "2 different lists of tasks (web1; db1)" in outcome.err) == (2, True)
    project.passes("plan", "convert", "plan.json", "-o", "out")
    assert sorted(file.name for file in (project.folder / "out").iterdir()) == ["db1.json", "web1.json"]
    one = json.loads(project.passes("plan", "convert", "plan.json", "--host", "db1").out)
    assert one["hosts"] == ["db1"]
    assert "did you mean 'db1'?" in project.run("plan", "convert", "plan.json", "--host", "db").err.replace(
        "db1?", "'db1'?"
    )


def test_what_it_cannot_take_is_told_before_cargo(project: Project, tool: Tool) -> None:
    path = tool("touch called-$$; exit 1")
    (project.folder / "plan.json").write_text(json.dumps(plan_of({"task_id": "t", "module": "git", "args": {}})))
    for arguments in (["plan", "convert", "plan.json"], ["compile", "plan.json", "--compiler", "rustle-deploy"]):
        outcome = project.run(*arguments)
        assert outcome.code == 2
        assert "plays[0].batches[0].tasks[0].module: the module 'git' is not honoured" in outcome.err
    assert not list(path.parent.glob("called-*"))


def test_its_last_words(project: Project, tool: Tool) -> None:
    tool("echo 'Error: no crates' >&2; exit 1")
    project.scenario(tasks=[{"task_id": "t", "module": "debug", "args": {"msg": "x"}, "hosts": ["node1"]}])
    file = project.folder / "molecule" / "default" / "molecule.yml"
    file.write_text(file.read_text().replace("provisioner:", "provisioner:\n  compiler: rustle-deploy"))
    outcome = project.run("test")
    assert outcome.code == 2, outcome.text
    assert "Error: no crates" in outcome.text


@pytest.mark.parametrize(
    ("compiler", "words"),
    [
        ({"name": "rustle-deploy", "path": "nowhere"}, "nowhere"),
        ({"name": "rustle-deploy"}, "no rustle-deploy is named"),
        ({"name": "command", "command": "./molecule.yml {plan} {output}"}, "molecule.yml is not executable"),
        ({"name": "command", "command": "no-such-planc {plan} {output}"}, "no-such-planc"),
    ],
)
@pytest.mark.parametrize("strategy", ["binary-only", "hybrid", "ssh-fallback"])
def test_a_compiler_that_cannot_work_is_told_first(
    project: Project, monkeypatch: pytest.MonkeyPatch, compiler: dict[str, str], words: str, strategy: str
) -> None:
    """Before anything is created; with a way around it, it is no error."""
    monkeypatch.delenv(VARIABLE, raising=False)
    work = {"task_id": "t", "module": "debug", "args": {"msg": "x"}, "hosts": ["node1"]}
    project.scenario(tasks=[work], provisioner={"compiler": compiler, "strategy": strategy})
    outcome = project.run("syntax")
    if strategy == "ssh-fallback":
        assert outcome.code == 0, outcome.text
    else:
        assert outcome.code == 2, outcome.text
        assert f"the compiler {compiler['name']} cannot work here: 1 problem" in outcome.text
        assert words in outcome.text


@pytest.mark.sandbox
@pytest.mark.ansible
def test_where_it_fails_ssh_may_do_it(project: Project, tool: Tool) -> None:
    tool("echo 'Error: no crates' >&2; exit 1")
    work = {"task_id": "t", "module": "command", "args": {"cmd": "touch /srv/done"}, "hosts": ["node1"]}
    project.scenario(
        tasks=[work],
        driver="native",
        provisioner={"compiler": "rustle-deploy", "strategy": "ssh-fallback"},
        test="def test_it(host):\n    assert host.file('/srv/done').exists\n",
    )
    outcome = project.passes("converge")
    assert "Error: no crates" in outcome.text
    project.passes("verify")
    project.passes("destroy")
    assert project.run("test").code == 0


@pytest.mark.sandbox
def test_command_by_exit_status(project: Project, static_program: Path) -> None:
    """Whatever it does, its runner says it by its exit status; what the machine says decides."""
    code = (
        '#include <stdio.h>\nint main(void) { FILE *f = fopen("/srv/done", MODE); return f ? fputs("x", f) < 1 : 3; }\n'
    )
    for name, mode in (("good", "w"), ("bad", "a")):
        project.scenario(
            name,
            tasks=[{"task_id": "t", "module": "shell", "args": {"cmd": "echo x"}, "hosts": ["node1"]}],
            driver="native",
            provisioner={
                "compiler": {
                    "name": "command",
                    "command": "cc -static -o {output} runner.c",
                    "results": "exit-status",
                }
            },
            files={"runner.c": code.replace("MODE", f'"{mode}"')},
            test="def test_it(host):\n    assert host.file('/srv/done').content == b'x'\n",
            full=True,
        )
    assert "lacks {plan}" in project.run("test", "-s", "good").err
    for name in ("good", "bad"):
        file = project.folder / "molecule" / name / "molecule.yml"
        file.write_text(file.read_text().replace("runner.c", "-include /dev/null -DPLAN='{plan}' runner.c"))
    project.passes("test", "-s", "good")
    outcome = project.run("test", "-s", "bad")
    assert outcome.code == 1, outcome.text


@pytest.mark.sandbox
@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go")
def test_the_example_in_go(project: Project) -> None:
    """docs/compilers.md: a plan compiler and its runner in one file."""
    shutil.copytree(EXAMPLE, project.folder, dirs_exist_ok=True)
    project.passes("test")
    assert project.steps()["idempotence"] == "passed"
    plan = project.folder / "molecule" / "default" / "plan.json"
    plan.write_text(plan.read_text().replace('"creates": "/srv/length"', '"chdir": "/"'))
    outcome = project.run("test")
    assert outcome.code == 2
    assert "shell has no argument 'chdir'" in outcome.text
