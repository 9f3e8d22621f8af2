"""What harness/ansible/modules.py reads: one module's result, written whole to the file that HARNESS_ANSIBLE_RESULT
names. (The command's own option for that, --tree, is about to go.) It runs in Ansible's Python."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: harness_result
type: stdout
short_description: Writes a result where the harness reads it
description:
  - One task on one host, as the command C(ansible) runs it.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types that mypy may use
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "harness_result"

    def _tell(self, outcome: str, result: Any) -> None:
        found = result.result if hasattr(result, "result") else result._result
        text = f'{{"outcome": "{outcome}", "result": {self._dump_results(found)}}}'
        Path(os.environ["HARNESS_ANSIBLE_RESULT"]).write_text(text, encoding="utf-8")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._tell("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._tell("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._tell("unreachable", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._tell("skipped", result)
