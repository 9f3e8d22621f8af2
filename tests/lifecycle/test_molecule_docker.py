"""A scenario as Molecule's users write them, in a container: a role with handlers and templates, sudo, verify.yml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.models.results import Failed, HostExecutionResult, TestReport
from tests.docker_images import ensure_base
from tests.projects import Project

pytest.importorskip("ansible_runner", reason="ansible-runner is not installed")
pytestmark = [pytest.mark.ansible, pytest.mark.docker, pytest.mark.slow]

META = "galaxy_info: {namespace: acme, role_name: motd}\n"
TASKS = """
- name: Banner
  ansible.builtin.template: {src: banner.j2, dest: /etc/banner, mode: "0644"}
  notify: Tell
- name: Sudoer
  ansible.builtin.shell: useradd sudoer && echo sudoer:right | chpasswd && echo 'sudoer ALL=(ALL) ALL' >>/etc/sudoers
  args: {creates: /home/sudoer, executable: /bin/sh}
  changed_when: false
  tags: molecule-idempotence-notest
- name: With the right password
  ansible.builtin.raw: id -un
  become: true
  vars: {ansible_user: sudoer, ansible_become_password: right}
  changed_when: false
  register: who
  failed_when: who.stdout | trim != 'root'
- name: With a wrong one
  ansible.builtin.command: id -un
  become: true
  vars: {ansible_user: sudoer, ansible_become_password: wrong}
  ignore_errors: true
  tags: molecule-idempotence-notest
- name: With none
  ansible.builtin.raw: id -un
  become: true
  vars: {ansible_user: sudoer}
  ignore_errors: true
  tags: molecule-idempotence-notest
"""
HANDLERS = """
- name: Tell
  ansible.builtin.copy: {content: told, dest: /etc/told, mode: "0600"}
"""
BANNER = "{{ owner }} on {{ inventory_hostname }} {{ extra }} {{ lookup('env', 'MOLECULE_SCENARIO_NAME') }}\n"
CONVERGE = "- hosts: all\n  gather_facts: false\n  roles: [acme.motd]\n"
VERIFY = """
- hosts: web
  gather_facts: false
  tasks:
    - name: Banner is right, and the handler ran
      ansible.builtin.raw: grep -qx 'web team on node1 of node1 default' /etc/banner && grep -qx told /etc/told
"""


@pytest.fixture
def scenario(project: Project) -> Path:
    folder = project.folder / "molecule" / "default"
    document = {
        "driver": {"name": "docker"},
        "platforms": [{"name": "node1", "image": ensure_base(), "pre_build_image": True, "groups": ["web"]}],
        "provisioner": {
            "name": "ansible",
            "inventory": {"group_vars": {"web": {"owner": "web team"}}, "host_vars": {"node1": {"extra": "of node1"}}},
        },
        "verifier": {"name": "ansible"},
    }
    for name, text in {
        "meta/main.yml": META,
        "tasks/main.yml": TASKS,
        "handlers/main.yml": HANDLERS,
        "templates/banner.j2": BANNER,
        "molecule/default/molecule.yml": yaml.safe_dump(document),
        "molecule/default/converge.yml": CONVERGE,
        "molecule/default/verify.yml": VERIFY,
    }.items():
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def host(report: TestReport) -> HostExecutionResult:
    assert report.execution_result is not None
    return report.execution_result.host_results[0]


@pytest.mark.usefixtures("scenario")
def test_a_role_is_tested_from_end_to_end(project: Project) -> None:
    project.passes("test")
    steps = project.steps()
    assert [steps[name] for name in ("create", "converge", "idempotence", "verify", "destroy")] == ["passed"] * 5
    tasks = {task.name: task for task in host(project.report()).task_results}
    for name, words in (("a wrong one", "Incorrect sudo password"), ("none", "Missing sudo password")):
        status = tasks[f"acme.motd : With {name}"].status
        assert isinstance(status, Failed)
        assert words in status.error
    assert "acme.motd : Tell" in tasks
