"""Real Ansible over a connection that is open already: each run takes seconds, so one playbook serves many tests."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.ansible.run import AnsibleFailed, AnsibleHost, PlaybookJob, PlaybookRun, TaskEvent, run_playbook
from harness.cancellation import Cancellation
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.errors import CommandTimedOut, Interrupted
from harness.models.endpoint import Local
from tests.waiting import wait_for

pytest.importorskip("ansible_runner", reason="ansible-runner is not installed")
pytest.importorskip("ansible", reason="ansible-core is not installed")
pytestmark = pytest.mark.ansible

EVERYTHING = r"""
- hosts: web
  gather_facts: false
  tasks:
    - name: says
      ansible.builtin.command: printf 'out\n%s' "{{ inventory_hostname }} {{ given }} {{ of_group }}"
      register: said
      changed_when: false
    - name: binary
      ansible.builtin.copy: {src: blob, dest: "{{ place }}/copied-{{ inventory_hostname }}", mode: "0640"}
      notify: told
    - name: loops
      ansible.builtin.raw: "echo {{ item }}; echo err >&2"
      loop: [a, b]
    - name: fails
      ansible.builtin.raw: exit 3
      ignore_errors: true
    - block:
        - name: breaks
          ansible.builtin.fail: {msg: for a reason}
      rescue:
        - name: mends
          ansible.builtin.debug: {msg: mended}
    - name: not now
      ansible.builtin.debug: {msg: x}
      when: false
    - name: hidden
      ansible.builtin.raw: echo 5ecret
      no_log: true
    - name: fetches
      ansible.builtin.fetch: {src: "{{ place }}/copied-{{ inventory_hostname }}", dest: "{{ place }}/fetched/"}
    - name: bounded
      ansible.builtin.raw: sleep 60
      timeout: 1
      ignore_errors: true
  handlers:
    - name: told
      ansible.builtin.debug: {msg: "{{ said.stdout }}"}
- name: nobody's
  hosts: nowhere
  tasks:
    - ansible.builtin.ping:
"""
BLOB = bytes(range(256)) * 3000


class Site:
    """Two hosts that are this machine, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connections: dict[str, Connection] = {}
        self.hosts = [self._host(name) for name in ("node1", "node2")]

    def _host(self, name: str) -> AnsibleHost:
        (self.folder / name).mkdir()
        endpoint = Local(directory=str(self.folder / name))
        self.connections[name] = open_connection(endpoint, name=name)
        return AnsibleHost(name, endpoint, self.connections[name], groups=["web"])

    def playbook(self, text: str) -> Path:
        path = self.folder / "playbook.yml"
        path.write_text(text)
        return path

    def run(self, text: str, seconds: float = 120.0, **more: object) -> PlaybookRun:
        job = PlaybookJob(self.playbook(text), self.hosts, **more)  # type: ignore[arg-type]
        return run_playbook(job, deadline=Deadline(seconds), cancellation=Cancellation())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    for connection in made.connections.values():
        connection.close()


@pytest.fixture(scope="module")
def live() -> list[tuple[TaskEvent, float]]:
    return []


@pytest.fixture(scope="module")
def run(site: Site, live: list[tuple[TaskEvent, float]]) -> PlaybookRun:
    (site.folder / "blob").write_bytes(BLOB)
    job = PlaybookJob(
        site.playbook(EVERYTHING),
        site.hosts,
        group_vars={"web": {"of_group": "grouped"}},
        extra_vars={"place": str(site.folder), "given": "a 'quoted' $word"},
        log=site.folder / "ansible.log",
    )
    return run_playbook(
        job,
        deadline=Deadline(120),
        cancellation=Cancellation(),
        on_event=lambda event: live.append((event, time.time())),
    )


def on(run: PlaybookRun, host: str) -> dict[str, TaskEvent]:
    return {event.task: event for event in run.events if event.host == host}


@pytest.mark.parametrize("host", ["node1", "node2"])
def test_every_task_is_told_as_it_went(run: PlaybookRun, host: str) -> None:
    assert run.rc == 0
    assert run.status == "successful"
    assert {name: event.outcome for name, event in on(run, host).items()} == {
        "says": "ok",
        "binary": "changed",
        "loops": "changed",
        "fails": "ignored",
        "breaks": "ignored",
        "mends": "ok",
        "not now": "skipped",
        "hidden": "changed",
        "fetches": "changed",
        "bounded": "ignored",
        "told": "ok",
    }


def test_results_are_the_modules_own(run: PlaybookRun) -> None:
    tasks = on(run, "node1")
    assert tasks["says"].result["stdout"] == "out\nnode1 a 'quoted' $word grouped"
    assert tasks["says"].module == "ansible.builtin.command"
    assert tasks["fails"].result["rc"] == 3
    assert [item["stdout"] for item in tasks["loops"].result["results"]] == ["a\n", "b\n"]
    assert [item["stderr"] for item in tasks["loops"].result["results"]] == ["err\n", "err\n"]
    assert tasks["told"].handler
    assert not tasks["says"].handler
    assert tasks["bounded"].duration < 30
    assert tasks["says"].path is not None
    assert tasks["says"].path.endswith("playbook.yml:5")


def test_what_no_log_hides_is_nowhere(run: PlaybookRun, site: Site) -> None:
    assert "5ecret" not in str(on(run, "node1")["hidden"].result)
    assert "5ecret" not in (site.folder / "ansible.log").read_text()


def test_events_come_in_order_and_at_once(run: PlaybookRun, live: list[tuple[TaskEvent, float]]) -> None:
    assert [event.uuid for event, _ in live] == [event.uuid for event in run.events]
    first, last = live[0][1], live[-1][1]
    assert last - first > 0.5  # the bounded task alone takes a second
    assert run.started <= run.events[0].start <= run.events[-1].start <= run.ended
    assert run.ended - run.started < run.duration


def test_files_travel_whole(run: PlaybookRun, site: Site) -> None:
    for host in ("node1", "node2"):
        copied = site.folder / f"copied-{host}"
        assert copied.read_bytes() == BLOB
        assert copied.stat().st_mode & 0o777 == 0o640
        assert (site.folder / "fetched" / host / str(copied).lstrip("/")).read_bytes() == BLOB


def test_a_play_without_hosts_and_the_count_are_told(run: PlaybookRun) -> None:
    assert run.unmatched == ("nobody's",)
    assert run.stats["node2"].rescued == 1
    assert run.stats["node2"].ignored == 2
    assert run.failed == ()
    assert run.error is None


def test_nothing_is_left(run: PlaybookRun) -> None:
    assert not [
        path for path in Path("/tmp").glob("harness-ansible-*") if path.stat().st_uid == os.getuid() and mine(path)
    ]
    assert not below("60")


def mine(folder: Path) -> bool:
    """Others may be running playbooks: a folder of this process holds a lock that this process has open."""
    lock = folder / "lock"
    return any(str(lock) == file.path for file in psutil.Process().open_files())


def below(word: str) -> list[psutil.Process]:
    """Of this process's children and theirs those that were given this argument. Each may end while it is looked at."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if word in child.cmdline():
                found.append(child)
    return found


def test_what_ansible_refuses_is_told_in_its_words(site: Site) -> None:
    with pytest.raises(AnsibleFailed, match="no_such_module") as refused:
        site.run("- hosts: web\n  tasks:\n    - no_such_module: {}\n")
    assert len(refused.value.message.splitlines()) < 20


def test_a_failure_ends_the_host_and_another_connection_breaks(site: Site) -> None:
    folder = site.folder / "gone"
    folder.mkdir()
    gone = open_connection(Local(directory=str(folder)), name="gone")
    folder.rmdir()
    text = "- hosts: all\n  gather_facts: false\n  tasks:\n    - {name: works, raw: test 1 = 2}\n    - raw: id\n"
    job = PlaybookJob(site.playbook(text), [site.hosts[0], AnsibleHost("gone", Local(), gone)])
    with gone:
        run = run_playbook(job, deadline=Deadline(120), cancellation=Cancellation())
    assert run.status == "failed"
    assert {(event.host, event.task, event.outcome) for event in run.events} == {
        ("node1", "works", "failed"),
        ("gone", "works", "unreachable"),
    }
    assert "its folder" in run.failed[-1].result["msg"] or "its folder" in run.failed[0].result["msg"]
    assert run.stats["gone"].unreachable == 1


def test_a_user_configuration_changes_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nstdout_callback = nonsense\nforks = 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANSIBLE_CONFIG", str(tmp_path / "ansible.cfg"))
    monkeypatch.setenv("ANSIBLE_CHECK_MODE_MARKERS", "nonsense")
    text = (
        "- hosts: web\n  gather_facts: false\n  tasks:\n"
        "    - {raw: \"echo {{ lookup('env', 'GIVEN') }}\", check_mode: false}\n"
    )
    run = site.run(text, env={"GIVEN": "yes"}, config={"defaults": {"any_errors_fatal": True}}, check=True)
    assert [event.result["stdout"].strip() for event in run.events] == ["yes", "yes"]


STUCK = "- hosts: web\n  gather_facts: false\n  tasks:\n    - raw: sleep 4711\n"


@pytest.mark.parametrize(("why", "error"), [("called off", Interrupted), ("out of time", CommandTimedOut)])
def test_it_ends_with_everything_it_started(site: Site, why: str, error: type[Exception]) -> None:
    cancellation = Cancellation()
    deadline = Deadline(3600)

    def stop() -> None:
        try:
            wait_for(lambda: len(below("4711")) >= 2)
        finally:  # or it would go on for an hour
            if why == "called off":
                cancellation.call()
            else:
                deadline.seconds = 0.0

    threading.Thread(target=stop, daemon=True).start()
    job = PlaybookJob(site.playbook(STUCK), site.hosts)
    with pytest.raises(error, match=r"playbook\.yml"):
        run_playbook(job, deadline=deadline, cancellation=cancellation)
    assert not below(str(job.playbook))
    assert not below("4711")


def test_without_ansible_the_hint_installs_it(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnsibleFailed) as missing:
        site.run(STUCK)
    assert missing.value.hint == "pip install 'harness-e2e[ansible]'"
