"""What a failed task is told to say, beyond Ansible's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.ansible.job import TaskEvent
from harness.ansible.records import message

PLUGIN = "Task failed: the connection plugin 'docker' was not found"
NO_PYTHON = "Task failed: The module interpreter '/usr/bin/python3' was not found."
LACKING = {"msg": NO_PYTHON, "rc": 127, "module_stderr": "/bin/sh: 1: /usr/bin/python3: not found"}


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"msg": PLUGIN}, "community.docker in the scenario's requirements.yml"),
        ({"msg": PLUGIN.replace("docker", "other")}, "name the collection that has it"),
        (LACKING, "`raw` in prepare"),
        (
            {"msg": "facts", "failed_modules": {"setup": LACKING}},
            f"facts\nsetup: {NO_PYTHON}\n{LACKING['module_stderr']}\nPython is missing",
        ),
        ({**LACKING, "module_stderr": "/bin/sh: 1: sudo: not found\n"}, "sudo: not found\nsudo is missing there"),
        (
            {"msg": "no", "results": [{"failed": True, "item": 2, "msg": "that one"}, {"item": 3}]},
            "no\nitem 2: that one",
        ),
        ({}, "does not say why"),
    ],
)
def test_words_of_a_failure(result: Mapping[str, Any], words: str) -> None:
    event = TaskEvent("web", "t", "command", "u", "p", "failed", result, start=0.0, duration=0.0)
    assert words in message(event, result)
