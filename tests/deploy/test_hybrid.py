"""A plan in segments: what travels between a runner and Ansible, and where a host stops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.deploy.hybrid import next_handlers
from harness.deploy.means import Deployed
from harness.models.config import Hybrid
from harness.models.results import Failed, HostExecutionResult
from harness.models.runner import PayloadPlay, PayloadTask
from tests.deploy.hosts import Hosts, TestMeans, hosts, means
from tests.projects import plan

NAMES = ["node1", "node2"]
SAY = "echo '{{ secret('TOKEN') }}'"
SECRET = "{{ 7 * 7 }} s3cret"


def task(task_id: str, module: str, args: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"task_id": task_id, "name": task_id, "module": module, "args": args, "hosts": NAMES, **keywords}


def handler(name: str, module: str, args: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"handler_id": name, "name": name, "module": module, "args": args, **keywords}


def _line(path: str, line: str) -> dict[str, Any]:
    return {"path": path, "block": line, "marker": "# {mark} " + line, "create": True}


def _plan() -> dict[str, Any]:
    """Of these modules the compiler lacks blockinfile and slurp; delegate_to is a keyword it lacks."""
    body = plan(
        task(
            "a", "shell", {"_raw_params": "echo '{{ secret('TOKEN') }}'"}, register="said", no_log=True, notify=["last"]
        ),
        task("b", "set_fact", {"word": "one", "deep": {"list": [1, "x"]}}),
        task("c", "blockinfile", _line("/etc/c", "{{ said.stdout }} {{ word }} {{ deep.list[1] }}"), notify=["both"]),
        task("d", "slurp", {"src": "/etc/c"}, register="far"),
        task("e", "set_fact", {"word": "two"}, delegate_to="{{ inventory_hostname }}"),
        task("f", "copy", {"content": "{{ far.content | b64decode }}{{ word }}", "dest": "/etc/f"}, notify=["first"]),
        task("g", "setup", {"filter": ["ansible_kernel"]}),
        task("h", "command", {"argv": ["false"]}, when="inventory_hostname == 'node2'"),
        task("i", "blockinfile", _line("/etc/i", "{{ ansible_facts.kernel }}")),
    )
    body["plays"][0]["handlers"] = [
        handler("first", "blockinfile", _line("/etc/first", "{{ word }}"), notify=["last"]),
        handler("both", "shell", {"_raw_params": "echo both >> /etc/log"}),
        handler("never", "shell", {"_raw_params": "echo never >> /etc/log"}),
        handler("last", "shell", {"_raw_params": "echo last >> /etc/log"}, listen=["topic"]),
    ]
    return body


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hosts, Deployed, TestMeans]]:
    folder = tmp_path_factory.mktemp("hybrid")
    path = folder / "plan.json"
    path.write_text(json.dumps(_plan()))
    tools = means(deadline=300, secrets={"TOKEN": SECRET})
    with hosts(folder, *NAMES) as platforms:
        yield platforms, platforms.run(path, Hybrid(), tools), tools


def _result(ran: tuple[Hosts, Deployed, TestMeans], host: str = "node1") -> HostExecutionResult:
    assert not ran[1].failed
    return ran[1].results[host]


def _read(ran: tuple[Hosts, Deployed, TestMeans], path: str) -> str:
    return ran[0].connections["node1"].read(path).decode()


needs = [pytest.mark.ansible, pytest.mark.sandbox, pytest.mark.cargo]


class TestSegments:
    pytestmark = needs

    def test_all_of_it_is_done_in_order_by_whom_it_should_be(self, ran: tuple[Hosts, Deployed, TestMeans]) -> None:
        result = _result(ran)
        assert result.error is None, result.error
        assert [one.task_id for one in result.task_results] == [*"abcdefghi", "first", "both", "last"]
        assert not [one for one in result.task_results if isinstance(one.status, Failed)]
        assert result.deployment_method == "hybrid"
        segments = ran[0].decisions["node1"].segments
        assert [(one.method, "".join(one.tasks) or one.handlers) for one in segments] == [
            ("binary", "ab"), ("ssh", "cde"), ("binary", "fgh"), ("ssh", "i"),
            ("ssh", ("first",)), ("binary", ("both", "never", "last")),
        ]  # fmt: skip

    def test_variables_travel_both_ways_and_are_no_templates(self, ran: tuple[Hosts, Deployed, TestMeans]) -> None:
        assert f"{SECRET} one x" in _read(ran, "/etc/c")
        copied = _read(ran, "/etc/f")
        assert SECRET in copied
        assert copied.endswith("two")
        assert _read(ran, "/etc/i").splitlines()[1] == ran[0].connections["node1"].run(["uname", "-r"]).out.strip()

    def test_handlers_run_once_wherever_they_belong(self, ran: tuple[Hosts, Deployed, TestMeans]) -> None:
        assert _read(ran, "/etc/log") == "both\nlast\n"
        assert "two" in _read(ran, "/etc/first")
        handlers = [one.task_id for one in _result(ran).task_results if one.handler]
        assert handlers == ["first", "both", "last"]

    def test_a_host_that_failed_is_out_of_what_follows(self, ran: tuple[Hosts, Deployed, TestMeans]) -> None:
        result = _result(ran, "node2")
        assert [one.task_id for one in result.task_results] == [*"abcdefgh"]
        assert isinstance(result.task_results[-1].status, Failed)
        assert ran[0].connections["node2"].run(["test", "-e", "/etc/i"]).rc == 1
        assert ran[0].connections["node2"].run(["test", "-e", "/etc/log"]).rc == 1, "its handlers neither"

    def test_nobody_is_shown_the_secret(self, ran: tuple[Hosts, Deployed, TestMeans]) -> None:
        shown = "\n".join(text for _, text in ran[2].told)
        assert "task_id" in shown
        assert "s3cret" not in shown
        assert "s3cret" not in _result(ran).model_dump_json()


def test_a_handler_that_notifies_ends_its_step() -> None:
    def make(name: str, *, lacking: bool = False, notify: list[str] | None = None) -> PayloadTask:
        words = ("not honoured",) if lacking else ()
        return PayloadTask(task_id=name, module="debug", lacking=words, notify=notify or [])

    play = PayloadPlay(
        tasks=[], handlers=[make("a"), make("b", notify=["a"]), make("c"), make("d", lacking=True), make("e")]
    )
    notified: dict[str, None] = dict.fromkeys(["e", "d", "c", "b"])
    handled: set[str] = set()
    steps = []
    while (step := next_handlers(play, notified, handled)) is not None:
        steps.append(step)
        handled.update(step[1])
        if "b" in step[1]:
            notified["a"] = None
    assert steps == [("binary", ("b",)), ("binary", ("a", "c")), ("ssh", ("d",)), ("binary", ("e",))]
