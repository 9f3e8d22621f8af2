"""Molecule's scenarios, run by real Ansible on the fake driver's instances and on what a create.yml makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.models.results import Fail, Failed, HostExecutionResult
from tests.projects import Project, existing

pytest.importorskip("ansible_runner", reason="ansible-runner is not installed")
pytestmark = pytest.mark.ansible

LIGHT = "- hosts: all\n  gather_facts: false\n  tasks:\n"


def play(*tasks: str, hosts: str = "all") -> str:
    body = "".join(f"    - {task}\n" for task in tasks)
    return f"- name: {hosts}\n  hosts: {hosts}\n  gather_facts: false\n  tasks:\n{body}"


def molecule(project: Project, name: str = "default", **more: Any) -> Path:
    """A scenario as Molecule has it; `files` beside its molecule.yml."""
    folder = project.folder / "molecule" / name
    files: Mapping[str, str] = more.pop("files")
    document = {"driver": {"name": "fake"}, "platforms": [{"name": "node1"}], **more}
    for file, text in {"molecule.yml": yaml.safe_dump(document), **files}.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def results(project: Project) -> dict[str, HostExecutionResult]:
    execution = project.report().execution_result
    assert execution is not None
    return {result.host: result for result in execution.host_results}


ROLE = """
- name: writes
  ansible.builtin.copy:
    content: "{{ greeting }} {{ of_host | default('') }}"
    dest: "{{ place }}/{{ inventory_hostname }}"
- name: always changes
  ansible.builtin.raw: "true"
  tags: molecule-idempotence-notest
- name: never
  ansible.builtin.fail: {msg: notest}
  tags: molecule-notest
- name: knows where it is
  ansible.builtin.assert:
    that:
      - lookup('env', 'MOLECULE_SCENARIO_NAME') == 'default'
      - molecule_yml.provisioner.log
      - lookup('env', 'FROM_PROVISIONER') == 'given'
      - groups['below'] == ['node2']
      - groups['web'] == ['node1']
"""


def test_a_scenario_of_molecules_passes(project: Project, fake_folder: Path) -> None:
    (project.folder / "tasks").mkdir()
    (project.folder / "tasks" / "main.yml").write_text(ROLE)
    (project.folder / "meta").mkdir()
    (project.folder / "meta" / "main.yml").write_text("galaxy_info: {namespace: acme, role_name: greeter}\n")
    place = project.folder / "place"
    place.mkdir()
    right = "lookup('file', place ~ '/' ~ inventory_hostname).startswith('hello')"
    check = f'{{name: is right, assert: {{that: "{right}"}}}}'
    molecule(
        project,
        platforms=[{"name": "node1", "groups": ["web"]}, {"name": "node2", "groups": ["db"], "children": ["below"]}],
        provisioner={
            "name": "ansible",
            "env": {"FROM_PROVISIONER": "given"},
            "config_options": {"defaults": {"timeout": 77}},
            "inventory": {
                "group_vars": {"all": {"greeting": "hello", "place": str(place)}},
                "host_vars": {"node2": {"of_host": "second", "ansible_connection": "local"}},
            },
        },
        scenario={
            "test_sequence": ["prepare", "converge", "idempotence", "side_effect a.yml b.yml", "verify", "cleanup"]
        },
        files={
            "prepare.yml": play("{name: prepares, raw: 'true'}"),
            "converge.yml": play("{name: role, include_role: {name: acme.greeter}}"),
            "a.yml": play("{name: first, raw: 'true'}"),
            "b.yml": play("{name: second, raw: 'true'}"),
            "verify.yml": play(check),
            "cleanup.yml": play("{name: tidies, raw: 'true'}", hosts="below"),
        },
    )
    project.passes("test")
    report = project.report()
    assert {step.step: step.outcome for step in report.steps} == {
        "create": "passed",
        "prepare": "passed",
        "converge": "passed",
        "idempotence": "passed",
        "side_effect a.yml b.yml": "passed",
        "verify": "passed",
        "cleanup": "passed",
        "destroy": "passed",
    }
    assert (place / "node2").read_text() == "hello second"
    first = results(project)["node1"]
    assert first.deployment_method == "ansible"
    assert [(task.name, task.changed) for task in first.task_results] == [
        ("role", False),
        ("acme.greeter : writes", True),
        ("acme.greeter : always changes", True),
        ("acme.greeter : knows where it is", False),
    ]
    assert sorted(check.check for check in report.validation_report.suite) == ["is right[node1]", "is right[node2]"]
    folder = project.folder / ".harness/runs/latest/ephemeral"
    assert "timeout = 77" in (folder / "ansible.cfg").read_text()
    assert (folder / "inventory" / "host_vars" / "node2").read_text() == "of_host: second\n"
    assert existing(fake_folder) == []


BROKEN = play(
    "{name: loops, raw: 'test {{ item }} = 1', loop: [1, 2]}",
    "{name: not reached, raw: 'true'}",
)


def test_a_failed_task_fails_the_step_in_its_own_words(project: Project) -> None:
    molecule(project, files={"converge.yml": BROKEN}, scenario={"test_sequence": ["converge", "verify"]})
    outcome = project.run("test")
    assert outcome.code == 1
    assert project.steps() == {"create": "passed", "converge": "failed", "verify": "skipped", "destroy": "passed"}
    (failed,) = results(project)["node1"].task_results
    assert isinstance(failed.status, Failed)
    assert "item 2: non-zero return code" in failed.status.error
    assert "loops" in outcome.text
    assert isinstance(project.report().validation_report.overall_result, Fail)


def test_a_failure_that_was_rescued_is_no_failure(project: Project) -> None:
    rescued = "{block: [{name: breaks, raw: 'false'}], rescue: [{name: mends, raw: 'true', changed_when: false}]}"
    molecule(project, files={"converge.yml": play(rescued)})
    outcome = project.passes("converge")
    assert "1 ok, 1 ignored" in outcome.text
    assert "failed" not in outcome.text
    assert [task.ignored for task in results(project)["node1"].task_results] == [True, False]


def test_changes_at_the_second_time_are_named_as_molecule_names_them(project: Project) -> None:
    changes = play("{name: again, raw: 'true'}", "{name: hidden, raw: 'true', no_log: true}")
    molecule(project, files={"converge.yml": changes}, scenario={"test_sequence": ["converge", "idempotence"]})
    outcome = project.run("test")
    assert outcome.code == 1
    assert "[node1] => again" in outcome.text
    assert "[node1] => hidden" in outcome.text


def test_nothing_to_run_is_no_success_and_arguments_are_ansibles(project: Project) -> None:
    molecule(project, files={"converge.yml": play("{name: there, raw: 'true', tags: here}")})
    assert project.run("converge", "--", "--tags", "elsewhere").code == 3
    project.passes("converge", "--", "--tags", "here")
    assert [task.name for task in results(project)["node1"].task_results] == ["there"]


def test_a_playbook_that_asks_for_nothing_is_told_and_passes(project: Project) -> None:
    nothing = "- hosts: all\n  gather_facts: false\n  tasks: []\n"
    molecule(project, files={"converge.yml": nothing}, scenario={"test_sequence": ["create", "converge", "destroy"]})
    outcome = project.run("test")
    assert outcome.code == 0
    assert "converge.yml has no task: nothing was done" in outcome.text
    assert project.run("test", "--strict").code == 1


def test_verify_counts_its_tasks_and_names_what_is_wrong(project: Project) -> None:
    tests = play("{name: fine, assert: {that: 1 == 1}}", "{name: wrong, assert: {that: 1 == 2, fail_msg: not two}}")
    files = {"converge.yml": play("{name: does, raw: 'true'}"), "verify.yml": tests}
    molecule(project, files=files, scenario={"test_sequence": ["converge", "verify"]})
    outcome = project.run("test")
    assert outcome.code == 1
    assert "not two" in outcome.text
    suite = project.report().validation_report.suite
    assert [(check.check, check.outcome) for check in suite] == [("fine[node1]", "passed"), ("wrong[node1]", "failed")]


def test_what_ansible_refuses_and_what_is_not_there(project: Project) -> None:
    molecule(project, files={"converge.yml": "- hosts: all\n  tasks:\n    - no_such_module:\n"})
    outcome = project.run("syntax")
    assert outcome.code == 2
    assert "no_such_module" in outcome.text
    molecule(project, "bare", files={})
    outcome = project.run("syntax", "-s", "bare")
    assert outcome.code == 2
    assert "there is no converge.yml" in outcome.text


CREATE = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: makes
      ansible.builtin.raw: mkdir -p "$MOLECULE_PROJECT_DIRECTORY/machines/{{ item.name }}"
      loop: "{{ molecule_yml.platforms }}"
    - name: says how they are reached
      ansible.builtin.raw: echo '{{ [how] | to_json }}' >{{ molecule_instance_config }}
      vars: {how: {instance: node1, connection: local, user: root, port: 22}}
    - ansible.builtin.fail: {msg: no machine today}
      when: lookup('env', 'NO_MACHINE') != ''
"""
DESTROY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: unmakes
      ansible.builtin.raw: rm -r "$MOLECULE_PROJECT_DIRECTORY/machines"
"""


def delegated(project: Project, **more: Any) -> Path:
    there = "test -d $MOLECULE_PROJECT_DIRECTORY/machines/{{ inventory_hostname }}"
    return molecule(
        project,
        driver={"name": "default"},
        verifier={"name": "testinfra"},
        scenario={"test_sequence": ["create", "converge", "verify", "destroy"]},
        files={
            "create.yml": CREATE,
            "destroy.yml": DESTROY,
            "converge.yml": play(f"{{name: looks, raw: '{there}', changed_when: false}}"),
            "tests/test_it.py": "def test_user(host):\n    assert host.run('id -u').stdout.strip().isdigit()\n",
        },
        **more,
    )


def test_the_driver_default_runs_the_users_own_playbooks(project: Project) -> None:
    delegated(project)
    project.passes("test")
    assert set(project.steps().values()) == {"passed"}
    assert project.report().validation_report.suite
    assert not (project.folder / "machines").exists()
    assert project.instances() == []


def test_a_create_that_fails_is_undone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    delegated(project)
    monkeypatch.setenv("NO_MACHINE", "1")
    outcome = project.run("create")
    assert outcome.code == 2
    assert "no machine today" in outcome.text
    assert not (project.folder / "machines").exists()
    assert project.instances() == []


def test_an_instance_config_that_is_none_is_named_and_keeps_no_destroy_from_running(project: Project) -> None:
    folder = delegated(project)
    (folder / "create.yml").write_text(CREATE.replace("[how] | to_json", '"no list"'))
    outcome = project.run("create")
    assert outcome.code == 2
    assert "instance_config.yml, which create.yml writes, is no list of mappings" in outcome.text
    assert not (project.folder / "machines").exists()
    assert project.instances() == []


def test_machines_that_are_not_managed_have_their_playbooks_all_the_same(project: Project) -> None:
    options = {"managed": False, "ansible_connection_options": {"ansible_connection": "local"}}
    folder = molecule(
        project,
        driver={"name": "default", "options": options},
        scenario={"test_sequence": ["cleanup", "destroy", "create", "converge", "destroy"]},
        files={
            step + ".yml": play(f"{{name: says, raw: 'echo {step} >> $MOLECULE_PROJECT_DIRECTORY/log'}}", hosts=hosts)
            for step, hosts in (
                ("create", "localhost"),
                ("destroy", "localhost"),
                ("converge", "all"),
                ("cleanup", "all"),
            )
        },
    )
    project.passes("test")
    log = project.folder / "log"
    assert log.read_text().split() == ["cleanup", "destroy", "create", "converge", "destroy"]
    (folder / "create.yml").unlink()
    (folder / "destroy.yml").unlink()
    project.passes("test")
    assert log.read_text().split()[5:] == ["cleanup", "converge"], "nothing is run of what is not there"


LOCAL = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"


def test_scenarios_of_a_collection_share_what_default_has_made(project: Project) -> None:
    """No platform, an inventory of the collection's own, as Molecule's guide to collections has it."""
    root = project.folder / "extensions/molecule"
    log = project.folder / "log"
    tell = f"echo {{{{ '%s' }}}} {{{{ lookup('env', 'MOLECULE_EPHEMERAL_DIRECTORY') | basename }}}} >> {log}"

    def said(words: str) -> str:
        return play(f'{{shell: "{tell % words}", changed_when: false}}', hosts="localhost")

    files = {
        "../../hosts": LOCAL,
        "config.yml": "shared_state: true\nscenario: {test_sequence: [prepare, converge, cleanup]}\n"
        "ansible: {executor: {args: {ansible_playbook: [-i, $MOLECULE_PROJECT_DIRECTORY/hosts]}}}",
        "default/molecule.yml": "scenario: {test_sequence: [create, destroy]}\n",
        "default/create.yml": said("create"),
        "default/destroy.yml": said("destroy"),
        "vlans/merged/molecule.yml": "",
        "vlans/merged/prepare.yml": said("prepare"),
        "vlans/merged/converge.yml": said("converge"),
        "vlans/merged/cleanup.yml": said("cleanup"),
        "vlans/merged/destroy.yml": said("never"),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert "vlans/merged" in project.passes("list").text
    project.passes("test", "--all")
    assert log.read_text().split("\n") == [
        f"{step} .shared" for step in ("create", "prepare", "converge", "cleanup", "destroy")
    ] + [""]
    project.passes("create", "-s", "default")
    assert "the platforms are those of default, and stay" in project.passes("reset", "-s", "vlans/merged").text
    assert log.read_text().endswith("create .shared\n"), "a guest destroys nothing"
    project.passes("reset", "--all")
    assert log.read_text().endswith("create .shared\ncleanup .shared\ndestroy .shared\n")


def test_arguments_have_a_meaning_for_ansible_alone(project: Project) -> None:
    project.scenario()
    outcome = project.run("converge", "--", "--tags", "x")
    assert outcome.code == 2
    assert "passes nothing on" in outcome.text
