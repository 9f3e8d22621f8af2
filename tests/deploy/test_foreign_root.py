"""Where root's files belong to nobody, a task that needs them is refused before it runs."""

from __future__ import annotations

import os
from typing import Any

import pytest

from harness.deploy.foreign_root import refusals
from harness.models.runner import Payload, PayloadPlay, PayloadTask


def payload(module: str, args: dict[str, Any], **keywords: Any) -> Payload:
    task = PayloadTask.model_validate({"task_id": "t1", "module": module, "args": args, **keywords})
    return Payload.model_validate(
        {"schema": 1, "plan_id": "p", "run_on": ["n"], "hosts": {"n": {}}, "plays": [PayloadPlay(tasks=[task])]}
    )


@pytest.mark.parametrize(
    ("module", "args", "keywords", "words"),
    [
        ("package", {"name": "hello"}, {}, "installs packages"),
        ("ansible.builtin.apt", {"name": "hello"}, {}, "installs packages"),
        ("systemd", {"name": "ssh"}, {}, "changes services"),
        ("command", {"cmd": "id"}, {"become": True, "become_user": "daemon"}, "becomes daemon"),
    ],
)
def test_refused(module: str, args: dict[str, Any], keywords: dict[str, Any], words: str) -> None:
    (problem,) = refusals(payload(module, args, **keywords), "n")
    assert words in problem.message
    assert "t1" in problem.message
    assert "debian-12" in str(problem.hint)


@pytest.mark.parametrize(
    ("module", "args"),
    [
        ("copy", {"dest": "/tmp/x/y"}),
        ("file", {"path": "/root/x"}),
        ("file", {"path": "{{ somewhere }}"}),
        ("command", {"cmd": "cat /etc/shadow"}),
        ("stat", {"path": "/etc/shadow"}),
    ],
)
def test_allowed(module: str, args: dict[str, Any]) -> None:
    assert refusals(payload(module, args), "n") == []


def test_a_path_of_root() -> None:
    found = refusals(payload("copy", {"dest": "/etc/motd"}), "n")
    assert bool(found) == (not os.access("/etc", os.W_OK)), "root may write it, an ordinary user may not"
