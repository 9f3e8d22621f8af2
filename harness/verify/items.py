"""A check as a pytest item: a readable id, and a failure told in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.verify.checks import Check, Verdict
from harness.verify.looks import Looks
from harness.verify.records import PROPERTY


class CheckFailed(Exception):
    """Carries the verdict to `repr_failure`."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"expected {verdict.expected}, actual {verdict.actual}")
        self.verdict = verdict


class CheckItem(pytest.Item):
    """One check. What it found travels in `user_properties`, also to JUnit and between xdist's processes."""

    def __init__(self, *, check: Check, looks: Looks, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.check = check
        self._looks = looks
        self._tell("host", check.host)
        self._tell("task", check.task_id)

    @classmethod
    def make(cls, session: pytest.Session, check: Check, looks: Looks, node_id: str) -> CheckItem:
        name = node_id.split("::", 1)[-1]
        item: CheckItem = cls.from_parent(session, name=name, nodeid=node_id, check=check, looks=looks)
        return item

    def setup(self) -> None:
        # A host that cannot be reached is an error of the run, and no failed check.
        self._seen = self._looks.of(self.check.host)

    def runtest(self) -> None:
        verdict = self.check.question.judge(self._seen)
        self._tell("expected", verdict.expected)
        self._tell("actual", verdict.actual)
        if verdict.outcome == "skipped":
            pytest.skip(verdict.actual)
        if not verdict.passed:
            self._tell("hint", verdict.hint or "")
            self._tell("message", failure_text(self.check, verdict))
            raise CheckFailed(verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        error = excinfo.value
        if isinstance(error, CheckFailed):
            return failure_text(self.check, error.verdict)
        if isinstance(error, HarnessError):
            hint = f"\n  hint      {error.hint}" if error.hint else ""
            return f"{self.check.id}\n  error     {error.message}{hint}"
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.nodeid

    def _tell(self, name: str, value: str) -> None:
        self.user_properties.append((PROPERTY + name, value))


def failure_text(check: Check, verdict: Verdict) -> str:
    """What a person needs: where, what, expected and actual, how to look, what to do."""
    task = f", task {check.task_id}" + (f" ({check.task_name})" if check.task_name else "") if check.task_id else ""
    subject = f" {check.question.subject}" if check.question.subject else ""
    lines = [f"{check.host}{task}: {check.question.label}{subject}"]
    for name, value in (
        ("expected", verdict.expected),
        ("actual", verdict.actual),
        ("command", verdict.command),
        ("hint", verdict.hint),
        ("output", verdict.detail),
    ):
        if value:
            lines.append(f"  {name:<9} " + value.replace("\n", "\n" + " " * 12))
    return "\n".join(lines)
