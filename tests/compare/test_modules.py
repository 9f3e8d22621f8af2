"""The runner's modules do what Ansible's do: each task twice, by the binary and by Ansible, side by side."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compare.test_verb import compare, possible, told
from tests.projects import Project

__all__ = ["possible"]

pytestmark = [pytest.mark.sandbox, pytest.mark.root, pytest.mark.cargo, pytest.mark.ansible]

HASH = "$6$saltsalt$" + "a" * 86
USER = {"uid": 2001, "group": "app", "groups": "sysapp", "home": "/srv/app", "shell": "/bin/sh", "password": HASH}


def twice(task_id: str, module: str, **args: Any) -> list[dict[str, Any]]:
    names = (task_id, f"{task_id}-again")
    return [{"task_id": name, "name": name, "module": module, "args": args, "hosts": ["node1"]} for name in names]


def test_accounts_are_as_ansible_makes_them(project: Project) -> None:
    tasks = [
        *twice("group", "group", name="app", gid=2002),
        *twice("system", "group", name="sysapp", system=True)[:1],
        *twice("user", "user", name="app", comment="An app", **USER),
        *twice("change", "user", name="app", groups=[], password_lock=True, expires=1893456000),
        *twice("wait", "wait_for", path="/etc/passwd", search_regex="^(?P<who>app):")[:1],
    ]
    project.scenario(driver="native", tasks=tasks, test=None)
    done, report = compare(project, "--strategies", "binary-only,force-ssh")
    assert done.code == 0, done.text
    assert told(report) == set()
    assert report.comparisons[0].compared == len(tasks)
