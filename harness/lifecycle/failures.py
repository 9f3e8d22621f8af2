"""How a step ends when it does not pass, and errors of several hosts told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from harness.errors import HarnessError, Interrupted, InvalidInput
from harness.lifecycle.crew import Outcome

T = TypeVar("T")

Stage = Literal["validate", "compile", "push", "run"]


class StepFailed(Exception):
    """A step did not pass. `failed`: what is tested is wrong; `error`: the harness could not do its part.

    The first line of `reason` is a summary; `words` is all that was said, where the results of the hosts say it
    too and need no repeating. `stage` is what an `expect:` of the scenario may name.
    """

    def __init__(
        self,
        reason: str,
        *,
        outcome: Literal["failed", "error"],
        stage: Stage | None = None,
        words: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.outcome = outcome
        self.stage = stage
        self.words = words if words is not None else reason


class StepSkipped(Exception):
    """A step had nothing to do, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def describe(error: BaseException, *, of: str | None = None) -> str:
    """An error as a person reads it: message, every problem, hint. `of`: whose it is, where that is said already."""
    if not isinstance(error, HarnessError):
        return f"internal error: {type(error).__name__}: {error}"
    lines = [error.message if of is None else error.of(of)]
    if isinstance(error, InvalidInput):
        for problem in error.problems:
            lines.append(f"  {problem}")
            if problem.hint:
                lines.append(f"      {problem.hint}")
    if error.hint:
        lines.append(f"hint: {error.hint}")
    return "\n".join(lines)


def describe_all(failed: Mapping[str, BaseException]) -> str:
    """The errors of several hosts; equal ones are told once."""
    by_text: dict[str, list[str]] = {}
    for host, error in failed.items():
        by_text.setdefault(describe(error, of=host), []).append(host)
    parts = [f"{', '.join(hosts)}: {text}" for text, hosts in by_text.items()]
    return parts[0] if len(parts) == 1 else "\n".join([f"{len(failed)} platforms failed", *parts])


def raise_defects(outcome: Outcome[T]) -> None:
    """Errors of the harness itself are raised as they are; what a user can meet is left to the caller."""
    for error in outcome.failed.values():
        if not isinstance(error, HarnessError) or isinstance(error, Interrupted):
            raise error


def all_done(outcome: Outcome[T], *, stage: Stage | None = None) -> dict[str, T]:
    """The values, or StepFailed with everyone's error."""
    raise_defects(outcome)
    if outcome.failed:
        raise StepFailed(describe_all(outcome.failed), outcome="error", stage=stage)
    return outcome.done
