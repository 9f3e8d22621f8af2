"""What explains a difference, what a scenario allows, and how tasks are put side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.compare import texts
from harness.compare.allowances import AllowList
from harness.compare.judge import with_detail
from harness.compare.rules import RULES, Circumstances, explained
from harness.compare.tasks import task_differences, task_times
from harness.models.compare import Difference, Kind
from harness.models.runner import TaskRecord
from harness.models.scenario import Allowance
from harness.report.compare import values

BINARY = Circumstances(frozenset({"binary"}), touched=True)
UNTOUCHED = Circumstances(frozenset(), touched=False)
ANSIBLE = Circumstances(frozenset({"binary", "ssh"}), touched=True)


def difference(kind: Kind, name: str, field: str, first: str | None = None, second: str | None = None) -> Difference:
    return Difference(host="web1", kind=kind, name=name, field=field, first=first, second=second)


NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1, milliseconds=7)


TEXTS = [
    (f"at {NOW:%Y-%m-%dT%H:%M:%SZ}", f"at {LATER:%Y-%m-%d %H:%M:%S.123 +0100}", "times", True),
    (f"{NOW:%a %b %d %H:%M:%S UTC %Y}", f"{LATER:%a %b %e %H:%M:%S UTC %Y}", "times", True),
    (f"{NOW:%a, %d %b %Y %H:%M:%S}", f"{LATER:%a, %d %b %Y %H:%M:%S}", "times", True),
    (f"since {NOW.timestamp():.3f}", f"since {LATER.timestamp():.0f}", "times", True),
    ("2021-01-02T03:04:05Z", "2021-01-03T03:04:05Z", None, True),
    ("99-99 2021-13-41T03:04:05Z", "99-99 2021-13-42T03:04:05Z", None, True),
    ("1700000000", "1700000001", None, True),
    ("took 0:00:00.003 or 12 ms", "took 0:00:01.5 or 7 ms", "times", False),
    ("timeout: 30 s", "timeout: 60 s", "times", False),
    ("sshd[12]: pid 77", "sshd[13]: pid 78", "process ids", True),
    ("09:57:22 sshd[12]", "09:57:23 sshd[13]", "process ids", False),
    ("wrote /tmp/tmp.aB3dE5gH1j", "wrote /tmp/tmp.XXXXXXXXXX", "temporary names", True),
    ("from ~/.ansible/tmp/ansible-tmp-1-2-3/x", "from ~/.ansible/tmp/ansible-tmp-4-5-6/x", "temporary names", True),
    ("in /tmp/app", "in /tmp/other", None, True),
    ("port 8080", "port 8081", None, True),
    ("hello", "hello ", None, True),
    ("version 1.2.3", "version 1.2.4", None, True),
    ("hello", None, None, True),
]


# Workers must agree on the names of tests, and these have the time in them.
@pytest.mark.parametrize(("first", "second", "rule", "in_files"), TEXTS, ids=[str(n) for n in range(len(TEXTS))])
def test_texts(first: str, second: str | None, rule: str | None, in_files: bool) -> None:
    said = explained(difference("task", "t", "stdout", first, second), BINARY)
    assert (said.name if said else None) == rule
    held = explained(difference("file", "/etc/x", "content", first, second), BINARY)
    assert (held.name if held else None) == (rule if in_files else None)


@pytest.mark.parametrize(
    ("one", "circumstances", "rule"),
    [
        (difference("file", "/root/.ansible/tmp", "existence"), ANSIBLE, "Ansible's own files"),
        (difference("file", "/root/.ansible/tmp", "existence"), BINARY, None),
        (difference("file", "/usr/lib/x/__pycache__/a.cpython-311.pyc", "existence"), BINARY, "bytecode"),
        (difference("file", "/var/log/dpkg.log", "content", "1", "2"), BINARY, "logs"),
        (difference("file", "/var/log/dpkg.log", "mode", "0644", "0600"), BINARY, None),
        (difference("file", "/var/lib/apt/extended_states", "content", "1", "2"), BINARY, None),
        (
            difference("file", "/etc/hostname", "content", "1", "2"),
            Circumstances(frozenset(), False),
            "before the plan",
        ),
        (difference("task", "t", "result.stat.inode", "1", "2"), BINARY, "inodes"),
        (difference("task", "t", "result.results[3].stat.inode", "1", "2"), BINARY, "inodes"),
        (difference("task", "t", "result.stat.mode", "1", "2"), BINARY, None),
        (difference("task", "t", "result.ansible_facts.ansible_env.PWD", "/", "/root"), ANSIBLE, "facts of the moment"),
        (difference("task", "t", "result.ansible_facts.ansible_memfree_mb", "1", "2"), BINARY, "facts of the moment"),
        (difference("task", "t", "status", "12:00:01", "12:00:02"), BINARY, None),
        (difference("process", "sshd: root@notty", "running", None, "1"), ANSIBLE, "the way in"),
        (difference("process", "sshd: root@notty", "running", None, "1"), BINARY, None),
        (difference("process", "sleep 5", "running", None, "1"), ANSIBLE, None),
    ],
)
def test_things(one: Difference, circumstances: Circumstances, rule: str | None) -> None:
    found = explained(one, circumstances)
    assert (found.name if found else None) == rule


def test_every_rule_has_its_own_name_and_stands_in_the_page() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text()
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert [name for name in names if f"| {name} |" not in page] == []
    assert all(rule.reason for rule in RULES)


def test_what_is_left_to_chance_is_taken_out() -> None:
    assert texts.without("sleep 5 --pid 4711 /tmp/tmp.aB3dE5gH1j", texts.ALL) == "sleep 5 --<> /tmp/<>"


def allowance(**keys: Any) -> Allowance:
    return Allowance(reason="because", where="molecule.yml:1", **keys)


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ({"kind": "file", "name": "/etc/*"}, True),
        ({"kind": "file", "name": "/etc/*", "field": "mode"}, True),
        ({"kind": "file", "name": "/etc/*", "field": "content"}, False),
        ({"kind": "task", "name": "/etc/*"}, False),
        ({"kind": "file", "name": "/ETC/*"}, False),
        ({"field": "mode", "host": "web*"}, True),
        ({"host": "db*"}, False),
        ({"field": "mode", "side": "two"}, True),
        ({"field": "mode", "side": "three"}, False),
    ],
)
def test_an_allowance_takes_in_what_it_says(keys: dict[str, Any], fits: bool) -> None:
    allowed = AllowList([allowance(**keys)])
    allowed.compared(["one", "two"])
    found = allowed.find(difference("file", "/etc/a/b", "mode", "1", "2"), ["one", "two"])
    assert (found is not None) == fits
    asked = keys.get("side") != "three"
    assert len(allowed.unused()) == (0 if fits or not asked else 1)


def record(task_id: str, status: Any = "ok", **keys: Any) -> TaskRecord:
    return TaskRecord(task_id=task_id, status=status, start="", duration=0.5, **keys)


def told(first: list[TaskRecord], second: list[TaskRecord]) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.name, one.field, one.first, one.second) for one in task_differences("h", first, second)]


def test_tasks_side_by_side() -> None:
    first = [record("a", rc=0, stdout="x"), record("b", "failed", ignored=True), record("c")]
    assert told(first, first) == []
    second = [record("a", rc=1, stdout="x"), record("b", "failed"), record("d", "changed", rc=7)]
    assert told(first, second) == [
        ("a", "rc", "0", "1"),
        ("b", "status", "failed, ignored", "failed"),
        ("c", "status", "ok", None),
        ("d", "status", None, "changed"),
    ]


def test_order_and_repetition() -> None:
    a, b, handler = record("a"), record("b"), record("h", "changed", handler=True)
    assert told([a, b], [b, a]) == [("order", "order", "a, b", "b, a")]
    assert told([a, handler], [a, handler, handler]) == [("h #2", "status", None, "changed")]
    assert told([a, b, handler], [a, handler]) == [("b", "status", "ok", None)]
    assert [times.second for times in task_times("h", [a, b], [a])] == [0.5, None]


def test_return_values_that_both_tell() -> None:
    one = record("a", result={"dest": "/x", "stat": {"mode": "0644", "size": 1}, "only": 1, "start": "now", "rc": 3})
    other = record("a", result={"dest": "/x", "stat": {"mode": "0600", "size": 1}, "start": "then", "rc": 4})
    assert told([one], [other]) == [("a", "result.stat.mode", "0644", "0600")]


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("0644", "0600", ("0644", "0600")),
        ("hello", "hello ", ("'hello'", "'hello '")),
        ("a\r", "a\t", ("'a\\r'", "'a\\t'")),
        ("x" * 200 + "a", "x" * 200 + "b", ("...'" + "x" * 20 + "a'", "...'" + "x" * 20 + "b'")),
        (None, "x", ("(none)", "x")),
    ],
)
def test_values_show_what_differs(first: str | None, second: str, shown: tuple[str, str]) -> None:
    assert values(difference("task", "t", "stdout", first, second)) == shown


def test_a_last_newline_is_seen() -> None:
    assert with_detail(difference("file", "/x", "content", "a\n", "a")).detail == " a\n+\\ no newline at the end"
