"""One task that ran on a host, as what it promises is read from it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from harness.models.results import TaskExecutionResult
from harness.verify import planned
from harness.verify.checks import Question
from harness.verify.known import Known, static_prefix
from harness.verify.ledger import Claim, Ledger


@dataclass(frozen=True)
class Step:
    """`certain` is false where its effects hold but its promises do not
    (it failed, ran in check mode, was delegated, or its success was defined by the plan)."""

    task_id: str
    task_name: str
    module: str
    args: Mapping[str, JsonValue]
    known: Known
    result: TaskExecutionResult
    certain: bool
    idle: bool
    """It reported no change by itself: not because the plan's `changed_when` says so."""
    ledger: Ledger

    def text(self, *names: str) -> str | None:
        """The first of these arguments that is given, when it is certain."""
        for name in names:
            if self.args.get(name) is not None:
                return self.known.text(self.args[name])
        return None

    def given(self, *names: str) -> bool:
        return any(self.args.get(name) is not None for name in names)

    def claim(self, kind: str, name: str, aspect: str, question: Question) -> None:
        if self.certain:
            self.ledger.add(Claim(self.task_id, self.task_name, kind, name, aspect, planned.Planned(question)))

    def path(self, *names: str) -> str | None:
        """The path argument; where it is not certain, all that may lie there is forgotten, and None returned."""
        for name in names:
            value = self.args.get(name)
            if value is None:
                continue
            text = self.known.text(value)
            if text is not None and text.startswith("/"):
                return posixpath.normpath(text) if text != "/" else text
            raw = str(value)
            self.ledger.touched(static_prefix(raw) if raw.startswith("/") else "/")
            return None
        return None
