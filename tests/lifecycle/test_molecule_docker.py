"""A scenario as Molecule's users write them, with the docker driver: nothing in it knows of the harness."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docker_images import ensure_base
from tests.projects import Project

pytest.importorskip("ansible_runner", reason="ansible-runner is not installed")
pytestmark = [pytest.mark.ansible, pytest.mark.docker, pytest.mark.slow]

FILES = {
    "meta/main.yml": "galaxy_info: {author: acme, role_name: motd}\n",
    "defaults/main.yml": "motd_owner: root\n",
    "tasks/main.yml": """
- name: write the message
  ansible.builtin.copy:
    content: "{{ motd_text }} {{ of_the_host }}\\n"
    dest: /etc/motd
    owner: "{{ motd_owner }}"
    mode: "0644"
  notify: told
- name: a package manager's own
  ansible.builtin.command: date
  changed_when: true
  tags: molecule-idempotence-notest
""",
    "handlers/main.yml": "- {name: told, ansible.builtin.file: {path: /var/lib/told, state: touch, mode: '0600'}}\n",
    "molecule/default/molecule.yml": """
---
dependency:
  name: galaxy
driver:
  name: docker
lint: |
  set -e
  yamllint .
platforms:
  - name: motd_${DISTRO:-debian}
    image: ${IMAGE:-harness-local/tests:base}
    pre_build_image: true
    groups: [web]
    hostname: message
    command: ${MOLECULE_DOCKER_COMMAND:-sleep infinity}
provisioner:
  name: ansible
  config_options:
    defaults: {callbacks_enabled: timer}
  inventory:
    links:
      group_vars: ../shared/group_vars
      host_vars: ../shared/host_vars
verifier:
  name: testinfra
  options: {v: 1, junit-xml: found.xml}
  env: {FROM_VERIFIER: given}
""",
    "molecule/shared/group_vars/web.yml": "motd_text: welcome\n",
    "molecule/shared/host_vars/motd_debian.yml": "of_the_host: traveller\n",
    "molecule/default/prepare.yml": """
- name: Prepare
  hosts: all
  gather_facts: false
  tasks:
    - name: bootstrap
      raw: test -e /usr/bin/python3 || (apt-get update && apt-get install -y python3)
      changed_when: false
""",
    "molecule/default/converge.yml": "- {name: Converge, hosts: web, roles: [{role: acme.motd}]}\n",
    "molecule/default/side_effect.yml": """
- name: Side effect
  hosts: all
  gather_facts: false
  tasks: [{name: someone logs in, ansible.builtin.file: {path: /var/lib/seen, state: touch, mode: "0600"}}]
""",
    "molecule/default/cleanup.yml": """
- name: Cleanup
  hosts: all
  gather_facts: false
  tasks:
    - name: leave word
      delegate_to: localhost
      ansible.builtin.copy:
        content: "{{ lookup('env', 'MOLECULE_SCENARIO_NAME') }}"
        dest: "{{ lookup('env', 'MOLECULE_PROJECT_DIRECTORY') }}/cleaned"
        mode: "0600"
""",
    "molecule/default/tests/conftest.py": """
import os
import pytest

@pytest.fixture
def given():
    return os.environ["FROM_VERIFIER"]
""",
    "molecule/default/tests/test_default.py": """
import os
import testinfra.utils.ansible_runner

testinfra_hosts = testinfra.utils.ansible_runner.AnsibleRunner(
    os.environ['MOLECULE_INVENTORY_FILE']).get_hosts('all')

def test_motd(host, given):
    motd = host.file('/etc/motd')
    assert motd.content_string == 'welcome traveller\\n'
    assert (motd.user, given) == ('root', 'given')
    assert host.file('/var/lib/told').exists
    assert host.file('/var/lib/seen').exists
    assert host.check_output('hostname') == 'message'

def test_ansible(host):
    variables = host.ansible.get_variables()
    assert (variables['motd_text'], variables['of_the_host']) == ('welcome', 'traveller')
    assert variables['group_names'] == ['all', 'web']
    assert host.ansible('stat', 'path=/etc/motd', check=False)['stat']['mode'] == '0644'
    defaults = host.ansible('include_vars', 'file=../../defaults/main.yml')
    assert defaults['ansible_facts'] == {'motd_owner': 'root'}
""",
}


def test_an_unmodified_scenario_passes(project: Project) -> None:
    for name, text in FILES.items():
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    ensure_base()
    outcome = project.passes("test", "--strict")
    steps = project.steps()
    passed = ("syntax", "create", "prepare", "converge", "idempotence", "side_effect", "verify", "cleanup", "destroy")
    assert {step: steps[step] for step in passed} == dict.fromkeys(passed, "passed"), outcome.text
    assert (project.folder / "cleaned").read_text() == "default"
    junit = (project.folder / "molecule/default/found.xml").read_text()
    assert 'tests="2"' in junit
    assert list(Path(project.folder / ".harness/ansible/roles").iterdir()) == [
        project.folder / ".harness/ansible/roles/acme.motd"
    ]


SUDO = """
- hosts: all
  gather_facts: false
  vars: {ansible_user: sudoer}
  tasks:
    - name: a user who may sudo
      ansible.builtin.raw: >-
        useradd sudoer && echo sudoer:right | chpasswd && echo 'sudoer ALL=(ALL) ALL' >/etc/sudoers.d/sudoer
      vars: {ansible_user: root}
    - {name: right, ansible.builtin.raw: test "$(id -u)" = 0, become: true, vars: {ansible_become_password: right}}
    - {name: wrong, ansible.builtin.raw: id, become: true, ignore_errors: true, vars: {ansible_become_password: other}}
    - {name: none, ansible.builtin.raw: id, become: true, ignore_errors: true}
"""


def test_sudos_passwords(project: Project) -> None:
    folder = project.folder / "molecule" / "default"
    folder.mkdir(parents=True)
    platform = f"{{name: node1, image: '{ensure_base()}', pre_build_image: true}}"
    (folder / "molecule.yml").write_text(f"driver: {{name: docker}}\nplatforms: [{platform}]\n")
    (folder / "converge.yml").write_text(SUDO)
    try:
        project.passes("converge")
    finally:
        project.passes("destroy")
    (run,) = (project.folder / ".harness" / "runs").glob("*/*-converge.log")
    words = run.read_text()
    assert "changed right" in words
    assert "Incorrect sudo password" in words
    assert "Missing sudo password" in words
