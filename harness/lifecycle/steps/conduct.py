"""What the checks of the runs' conduct found, as a step of its own: they are made while other steps go on."""

from __future__ import annotations

from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed
from harness.models.results import CheckResult
from harness.verify.conduct.catalogue import SECOND_RUN


def conducted(context: Context) -> bool:
    """Whether they found anything; what a second run did is the step idempotence's to tell."""
    return bool(_found(context))


def _found(context: Context) -> list[CheckResult]:
    own = f"conduct.{SECOND_RUN}"
    return [one for one in context.ledger.conduct if one.outcome == "failed" and not one.check.endswith(own)]


def conduct(context: Context) -> None:
    """Raises StepFailed with what was found."""
    results = context.ledger.conduct
    failed = _found(context)
    total = sum(result.outcome != "skipped" for result in results)
    words = [f"{result.check}: expected {result.expected}; seen: {result.actual}" for result in failed]
    raise StepFailed(f"{len(failed)} of {total} checks failed", outcome="failed", words="\n".join(words))
