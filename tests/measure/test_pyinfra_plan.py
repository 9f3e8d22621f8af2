"""Plans in pyinfra's words, and what has none."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from harness.measure.by_pyinfra import pyinfra
from harness.measure.ground import BenchFailed
from harness.measure.pyinfra_plan import translated
from harness.models.runner import Payload, PayloadPlay, PayloadTask
from harness.plan import read_plan, slices

BENCH = Path(__file__).parents[2] / "molecule" / "bench" / "plan.json"


def payload(*tasks: PayloadTask) -> Payload:
    play = PayloadPlay(vars={"port": 80}, tasks=list(tasks))
    return Payload(plan_id="p", run_on=["web"], hosts={"web": {}}, plays=[play])


def task(module: str, args: dict[str, Any], **keywords: Any) -> PayloadTask:
    return PayloadTask(task_id=f"the-{module}", module=module, args=args, **keywords)


def test_the_plan_that_is_measured_is_translated_whole() -> None:
    plan = read_plan(BENCH)
    [part] = slices(plan, source=BENCH, hosts=["node1"])
    operations = translated(part, "node1")
    tasks = [one.task_id for play in plan.plays for batch in play.batches for one in batch.tasks]
    assert list(dict.fromkeys(one.task_id for one in operations)) == tasks
    first = operations[0]
    assert (first.function, first.arguments["dest"]) == ("files.put", "/etc/motd")
    assert base64.b64decode(first.arguments["content"]) == b"Welcome to node1.\n"


def test_templates_are_rendered_for_the_host() -> None:
    [operation] = translated(payload(task("shell", {"_raw_params": "echo {{ inventory_hostname }}:{{ port }}"})), "web")
    assert operation.arguments == {"commands": ["echo web:80"]}


def test_a_command_is_guarded_as_the_module_does_it() -> None:
    args = {"_raw_params": "touch 'a b'", "creates": "/x y", "chdir": "/srv"}
    [operation] = translated(payload(task("command", args)), "web")
    assert operation.arguments["commands"] == ["test -e '/x y' || { cd /srv && { touch 'a b'\n}\n}"]


def test_a_line_is_looked_for_as_it_stands() -> None:
    [operation] = translated(payload(task("lineinfile", {"path": "/f", "line": "a.b*[c]"})), "web")
    assert operation.arguments == {"path": "/f", "line": r"^a\.b\*\[c\]$", "replace": "a.b*[c]"}


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (task("systemd", {"name": "x"}), "no operation does the same"),
        (task("shell", {"_raw_params": "true"}, when=["x"]), "the keyword when"),
        (task("shell", {"_raw_params": "true"}, register="x"), "the keyword register"),
        (task("shell", {"_raw_params": "true"}, changed_when=[False]), "the keyword changed_when"),
        (task("shell", {"_raw_params": "echo {{ ansible_facts.x }}"}), "a template that needs Ansible"),
        (task("lineinfile", {"path": "/f", "line": "x", "regexp": "^y"}), "the argument regexp"),
        (task("file", {"path": "/f", "state": "absent"}), "state absent"),
        (task("copy", {"content": "x"}), "without dest"),
    ],
)
def test_what_has_no_honest_translation_is_refused_by_name(one: PayloadTask, words: str) -> None:
    with pytest.raises(BenchFailed) as refused:
        translated(payload(task("shell", {"_raw_params": "true"}), one, task("pip", {})), "web")
    assert f"task 'the-{one.module}' ({one.module}): {words}" in refused.value.message
    assert "task 'the-pip'" in refused.value.message, "all at once"


def test_what_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert pyinfra() == "pyinfra is not installed (pip install pyinfra)"
