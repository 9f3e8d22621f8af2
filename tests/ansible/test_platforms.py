"""Real Ansible on a sandbox and in a container, side by side: modules with Python, other users, facts, a dying host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ansible.run import AnsibleHost, PlaybookJob, PlaybookRun, run_playbook
from harness.cancellation import Cancellation
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.models.endpoint import Endpoint
from tests.sandboxes import sandboxes

pytest.importorskip("ansible_runner", reason="ansible-runner is not installed")
pytestmark = [pytest.mark.ansible, pytest.mark.root, pytest.mark.sandbox]

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: template
      ansible.builtin.copy: {content: "for {{ inventory_hostname }}\\n", dest: /etc/by-ansible, mode: "0600"}
    - name: as another user
      ansible.builtin.command: id -un
      become: true
      become_user: nobody
      become_method: ansible.builtin.su
      become_flags: -s /bin/sh
      changed_when: false
    - name: in the background
      ansible.builtin.command: sleep 0.2
      async: 20
      poll: 1
    - name: logs in as another
      ansible.builtin.raw: id -un
      vars: {ansible_user: nobody}
    - name: large
      ansible.builtin.raw: head -c 3000000 /dev/zero | tr '\\0' x
      no_log: false
    - name: ends one
      ansible.builtin.raw: kill -9 -1
      when: inventory_hostname == 'doomed'
      ignore_errors: true
    - name: comes back
      ansible.builtin.wait_for_connection: {timeout: 30}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlaybookRun, dict[str, Connection]]]:
    folder = tmp_path_factory.mktemp("platforms")
    playbook = folder / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    with sandboxes(folder, "kept", "doomed") as endpoints:
        connections = {name: open_connection(endpoint, name=name) for name, endpoint in endpoints.items()}
        job = PlaybookJob(playbook, [host(name, endpoints[name], connections[name]) for name in endpoints])
        yield run_playbook(job, deadline=Deadline(240), cancellation=Cancellation()), connections
        for connection in connections.values():
            connection.close()


def host(name: str, endpoint: Endpoint, connection: Connection) -> AnsibleHost:
    return AnsibleHost(name, endpoint, connection, variables={"ansible_python_interpreter": "/usr/bin/python3"})


def test_all_goes_through_the_connection(run: tuple[PlaybookRun, dict[str, Connection]]) -> None:
    playbook, connections = run
    tasks = {event.task: event for event in playbook.events if event.host == "kept"}
    outcomes = {name: event.outcome for name, event in tasks.items()}
    assert outcomes.pop("ends one") == "skipped"
    assert set(outcomes.values()) <= {"ok", "changed"}, outcomes
    assert tasks["as another user"].result["stdout"] == "nobody"
    assert tasks["logs in as another"].result["stdout"].strip() == "nobody"
    assert len(tasks["large"].result["stdout"]) == 3000000
    assert connections["kept"].read("/etc/by-ansible") == b"for kept\n"
    assert connections["kept"].run("stat -c %a /etc/by-ansible").out.strip() == "600"
    # What ran in the background takes its own folder away, a moment after it has told its end.
    gone = 'for i in $(seq 100); do [ -z "$(ls /root/.ansible/tmp)" ] && exit 0; sleep 0.1; done; exit 1'
    assert connections["kept"].run(gone).ok
    assert not Path("/etc/by-ansible").exists()


def test_a_shell_that_was_killed_is_no_end(run: tuple[PlaybookRun, dict[str, Connection]]) -> None:
    """What a task kills besides itself is opened anew by the next."""
    playbook, _ = run
    tasks = {event.task: event for event in playbook.events if event.host == "doomed"}
    assert tasks["comes back"].outcome == "ok", playbook.events[-1].result
