"""What tasks have left to later ones, taken in and handed out. It runs in Ansible's own Python, on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """`facts: FILE` takes facts in; `export: FILE` writes the variables in `names`, and all facts."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        if facts := self._task.args.get("facts"):
            result["ansible_facts"] = json.loads(Path(facts).read_text(encoding="utf-8"))
        if export := self._task.args.get("export"):
            names = self._task.args.get("names") or []
            state = {
                "registered": {name: variables[name] for name in names if name in variables},
                "facts": _facts(variables),
            }
            with os.fdopen(os.open(export, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(state, file, default=str)
        result["changed"] = False
        return result


def _facts(variables: dict[str, Any]) -> dict[str, Any]:
    """By the names that they have as variables: `ansible_distribution`, but `packages`."""
    facts = variables.get("ansible_facts") or {}
    return {name if name in variables else f"ansible_{name}": value for name, value in facts.items()}
