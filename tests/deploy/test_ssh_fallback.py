"""Hosts whose binary will not do, each in its own way, and what Ansible makes of the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.connections.base import Connection, Process
from harness.deploy import aftermath
from harness.deploy.means import Deployed, HostWork
from harness.errors import TransportFailed
from harness.models.config import SSHFallback
from harness.models.endpoint import Ssh
from harness.models.results import HostExecutionResult, Success
from tests.deploy.hosts import Hosts, hosts, means
from tests.projects import plan, task

pytestmark = [pytest.mark.ansible, pytest.mark.sandbox, pytest.mark.cargo]

NAMES = ["whole", "uncompiled", "garbage", "copying", "commanding", "partless", "broken", "silent"]
"""`broken` and `silent` lose their connections; the compiler of `partless` has runners that know no parts of a plan."""
START = "2026-01-01T00:00:00Z"


def _plan() -> dict[str, Any]:
    body = plan(
        task("a", "echo {{ 6 * 7 }}", NAMES, register="first", notify=["told"], changed_when=True),
        {**task("b", "", NAMES), "module": "copy", "args": {"content": "{{ first.stdout }}", "dest": "/etc/b"}},
        task("c", "echo c >> /etc/c", NAMES),
        task("d", "echo d >> /etc/d", NAMES, rerun=True),
    )
    told = {"handler_id": "h", "name": "told", "module": "shell", "args": {"_raw_params": "echo told >> /etc/told"}}
    body["plays"][0]["handlers"] = [told]
    return body


def _script(*lines: dict[str, Any], unheard: Sequence[dict[str, Any]] = (), then: str = "kill -9 $$") -> bytes:
    """A runner that writes these lines to stdout and its file, `unheard` ones only there, and then does `then`."""
    said = "".join(f"printf '%s\\n' '{json.dumps(line)}' | tee -a \"$file\"\n" for line in lines)
    kept = "".join(f"printf '%s\\n' '{json.dumps(line)}' >>\"$file\"\n" for line in unheard)
    return f"#!/bin/sh\nfor file; do :; done\n{said}{kept}{then}\n".encode()


def _begun(task_id: str) -> dict[str, Any]:
    return {"type": "start", "task_id": task_id}


def _ended(task_id: str, status: str = "ok") -> dict[str, Any]:
    return {"type": "task", "task_id": task_id, "status": status, "start": START, "duration": 0.01, "module": "shell"}


STATE = {"type": "state", "task_id": "a", "registered": {"first": {"stdout": "by {{ binary }}"}}, "notified": ["h"]}
FIRST = (_begun("a"), STATE, _ended("a", "changed"))
RUNNERS = {
    "garbage": b"\x7fELF no program",
    "partless": _script(*FIRST),
    "copying": _script(*FIRST, _begun("b")),
    "commanding": _script(*FIRST, _begun("b"), _ended("b"), _begun("c")),
    "broken": _script(
        *FIRST,
        unheard=[_begun("b"), _ended("b"), _begun("c"), _ended("c"), _begun("d")],
        then="(while :; do echo >>/etc/alive; sleep 0.1; done) & echo heard; wait",
    ),
    "silent": _script(*FIRST, unheard=[_begun("b"), _ended("b"), _begun("c")], then="echo heard; sleep 300"),
}


def _breaking(connection: Connection, later: ExitStack) -> Connection:
    """Its processes cannot be heard after `heard`, nor be ended before `later`."""

    def start(*arguments: Any, **options: Any) -> Process:
        process = later.enter_context(connection.start(*arguments, **options))
        all_lines = process.lines

        def lines() -> Iterator[bytes]:
            for line in all_lines():
                if line == b"heard\n":
                    raise TransportFailed("cut by a test")
                yield line

        later.callback(process.kill)
        later.callback(vars(process).pop, "kill")
        vars(process).update(lines=lines, kill=lambda: None)
        return process

    broken = copy(connection)
    vars(broken).update(start=start)
    return broken


def _spoiled(folder: Path, later: ExitStack) -> Callable[[HostWork], HostWork]:
    def spoil(work: HostWork) -> HostWork:
        assert work.binary is not None
        if work.host == "uncompiled":
            return replace(work, binary=None, failure="error: linker `cc` not found")
        content = RUNNERS.get(work.host)
        if content is None:
            return work
        binary, path = work.binary, folder / work.host
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        changes = {"binary_path": path, "binary_size": len(content), "sha256": digest}
        if work.host == "partless":
            work = replace(work, parts=False)
        if work.host in ("broken", "silent"):
            work = replace(work, connection=_breaking(work.connection, later))
        return replace(work, binary=binary.model_copy(update=changes))

    return spoil


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hosts, Deployed]]:
    folder = tmp_path_factory.mktemp("fallback")
    path = folder / "plan.json"
    path.write_text(json.dumps(_plan()))
    with hosts(folder, *NAMES) as platforms, ExitStack() as later:
        yield platforms, platforms.run(path, SSHFallback(), means(deadline=300), change=_spoiled(folder, later))


def _result(ran: tuple[Hosts, Deployed], host: str) -> HostExecutionResult:
    assert not ran[1].failed
    return ran[1].results[host]


def _read(ran: tuple[Hosts, Deployed], host: str, path: str) -> str:
    return ran[0].connections[host].read(path).decode()


def test_a_binary_that_does_is_not_degraded(ran: tuple[Hosts, Deployed]) -> None:
    result = _result(ran, "whole")
    assert (result.deployment_method, result.error) == ("binary", None)
    assert [decision.method for decision in result.decisions] == ["binary"]


@pytest.mark.parametrize(
    ("host", "words", "finished"),
    [
        ("uncompiled", "linker `cc` not found", []),
        ("garbage", "ec format error", []),
        ("copying", "ended in task 'b' without a report (killed by signal 9)", ["a"]),
        ("broken", "cut by a test", ["a", "b", "c"]),
    ],
)
def test_a_degraded_host_is_done_and_says_why(
    ran: tuple[Hosts, Deployed], host: str, words: str, finished: list[str]
) -> None:
    result = _result(ran, host)
    assert (result.deployment_method, result.error) == ("ssh", None)
    first, second = result.decisions
    assert (first.method, first.degraded) == ("binary", False)
    assert (second.method, second.degraded, second.finished) == ("ssh", True, finished)
    assert words in second.reasons[0]
    assert second.route == "Ansible over the sandbox connection: the platform has no sshd of ours"
    assert second.spent > 0 or host == "uncompiled"
    assert [one.task_id for one in result.task_results] == ["a", "b", "c", "d", "h"]
    assert all(one.status == Success() for one in result.task_results)


def test_only_what_has_no_record_is_run(ran: tuple[Hosts, Deployed]) -> None:
    for host in ("garbage", "copying"):
        assert _read(ran, host, "/etc/c") == "c\n"
    assert ran[0].connections["broken"].run(["test", "-e", "/etc/c"]).rc == 1, "it had a record"
    assert _read(ran, "broken", "/etc/d") == "d\n"


def test_what_a_binary_registered_and_notified_is_there(ran: tuple[Hosts, Deployed]) -> None:
    assert _read(ran, "garbage", "/etc/b") == "42"
    assert _read(ran, "copying", "/etc/b") == "by {{ binary }}", "data is no template"
    assert _read(ran, "copying", "/etc/told") == "told\n"


def test_a_runner_that_lost_its_connection_is_ended_first(ran: tuple[Hosts, Deployed]) -> None:
    assert _read(ran, "broken", "/etc/alive")
    shell = ran[0].connections["broken"]
    assert shell.run("ls -d /proc/[0-9]*/exe | xargs -n 1 readlink | grep -c /sleep").out.strip() == "0"
    assert shell.run("ls -d /tmp/harness-*").out == ""
    assert shell.run(["test", "-e", "/etc/c"]).rc == 1, "its record was read from the host"
    assert _read(ran, "broken", "/etc/told") == "told\n", "what it had left to handlers, too"


def test_nothing_is_run_where_nobody_knows_whether_the_runner_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aftermath, "_PATIENCE", 0.0)
    body = plan(task("a", "true", ["broken"]))
    (tmp_path / "plan.json").write_text(json.dumps(body))

    gone = Ssh(host="127.0.0.1", port=1, user="nobody")
    with hosts(tmp_path, "broken") as platforms, ExitStack() as later:
        spoil = _spoiled(tmp_path, later)
        ran = platforms.run(
            tmp_path / "plan.json", SSHFallback(), means(), change=lambda work: replace(spoil(work), endpoint=gone)
        )
    result = ran.results["broken"]
    assert result.deployment_method == "binary"
    assert "whether the runner has ended there is not known" in (result.error or "")


@pytest.mark.parametrize("host", ["commanding", "silent"])
def test_a_command_that_was_cut_off_fails_the_host(ran: tuple[Hosts, Deployed], host: str) -> None:
    result = _result(ran, host)
    assert result.error is not None
    assert "the task 'c' was cut off, and nobody knows what it had done" in result.error
    assert [one.task_id for one in result.task_results] == ["a", "b"]
    assert result.deployment_method == "binary"
    assert ran[0].connections[host].run(["test", "-e", "/etc/d"]).rc == 1


def test_where_runners_know_no_parts_ansible_does_the_whole_host_or_nothing(ran: tuple[Hosts, Deployed]) -> None:
    result = _result(ran, "partless")
    assert result.deployment_method == "binary"
    assert "runners do not tell what their tasks leave: SSH cannot go on from there" in (result.error or "")
    assert ran[0].connections["partless"].run(["test", "-e", "/etc/c"]).rc == 1
