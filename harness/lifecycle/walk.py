"""The runner of sequences: walks the steps, and ends well however they went."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import HarnessError, Interrupted
from harness.lifecycle.collect import collect
from harness.lifecycle.context import Context, DestroyPolicy
from harness.lifecycle.failures import StepFailed, StepSkipped, describe
from harness.lifecycle.run_log import RunLog
from harness.lifecycle.sequence import ENDING, TRANSIENT
from harness.lifecycle.steps import step_of
from harness.lifecycle.steps.conduct import conduct, conducted
from harness.lifecycle.steps.performance import performance, wanted
from harness.models.results import StepResult

_ENDING_SECONDS = 120.0
"""At least this long for cleanup and destroy, whatever the run has used up."""

_STAGE_STEPS = {"validate": "syntax", "compile": "converge", "push": "converge", "run": "converge"}

Outcome = Literal["passed", "failed", "skipped", "error"]


class Walker:
    """Walks one sequence once. `say` is told what a person should know at once."""

    def __init__(self, context: Context, log: RunLog) -> None:
        self._context = context
        self._log = log
        self._position = 0
        self._failed: str | None = None
        """The first step that failed."""

    def walk(self, steps: Sequence[str]) -> None:
        """All steps; after a failure only the ending ones. Raises Interrupted once it has cleaned up."""
        body, ending = _split(steps)
        interrupted: Interrupted | None = None
        try:
            for step in body:
                self._body_step(step)
            self._end(ending)
        except Interrupted as error:
            # Also when it came while destroying: what is left is destroyed all the same. Only the first is raised.
            interrupted = error
            self._context.ledger.interrupted = True
        if interrupted is not None:
            self._end_interrupted(ending)
            raise interrupted

    def _body_step(self, step: str) -> None:
        if self._failed is not None:
            self._skip(step, f"not reached: {self._failed} failed")
        elif self._context.ledger.expected_failure is not None and not self._worth_doing(step):
            self._skip(step, "the scenario ends with the failure that it expects")
        else:
            self._do(self._context, step)

    def _end(self, ending: Sequence[str]) -> None:
        self._context.faults.end()  # what is collected and cleaned up must be within reach
        if self._failed is not None and self._context.hosts:
            self._collect()
        context = self._with_time()
        if conducted(self._context):
            self._do(context, "checks", conduct)
        if self._failed is None and wanted(self._context):
            self._do(context, "performance", performance)
        for step in ending:
            if why := self._kept_because():
                self._skip(step, why)
            else:
                self._do(context, step)
        if "destroy" in ending and self._kept_because() and self._context.hosts:
            older = context.fleet.hand_over()
            them = f"them and {older} kept before" if older else "them"
            context.note(f"its platforms are kept; harness destroy -s {context.scenario.name} removes {them}")

    def _end_interrupted(self, ending: Sequence[str]) -> None:
        """Destroy what this run made; what it found stays."""
        self._context.faults.end()
        context = self._with_time()
        if context.verb in TRANSIENT and context.options.destroy is DestroyPolicy.NEVER:
            self._end(ending)
            return
        fresh = frozenset(name for name, member in context.fleet.members.items() if member.fresh)
        if fresh:
            self._do(replace(context, only=fresh), "destroy")

    def _kept_because(self) -> str | None:
        policy = self._context.options.destroy
        if self._context.verb not in TRANSIENT or policy is DestroyPolicy.ALWAYS:
            return None
        if policy is DestroyPolicy.NEVER:
            return "--destroy=never"
        return "--destroy=passing, and the run failed" if self._failed is not None else None

    def _with_time(self) -> Context:
        left = max(_ENDING_SECONDS, self._context.deadline.remaining())
        return replace(self._context, deadline=Deadline(left), cancellation=Cancellation())

    def _collect(self) -> None:
        try:
            collect(self._with_time(), "collect")
        except HarnessError as error:
            self._context.note(f"not everything could be collected: {error.message}")

    def _worth_doing(self, step: str) -> bool:
        """After a failure at run time, as expected, the state that it left may still be looked at."""
        context = self._context
        if step != "verify" or context.ledger.expected_failure != "run":
            return False
        return context.scenario.verifier.directory.is_dir() or bool(context.scenario.verifier.expected_outcomes)

    def _skip(self, step: str, reason: str) -> None:
        def skipped(context: Context) -> None:
            raise StepSkipped(reason)

        self._do(self._context, step, skipped)

    def _do(self, context: Context, step: str, work: Callable[[Context], str | None] | None = None) -> None:
        context.observer.step_started(context.scenario.name, step)
        started, clock = time.time(), time.monotonic()
        outcome: Outcome = "passed"
        reason: str | None = None
        interrupted: Interrupted | None = None
        try:
            name, *arguments = step.split()
            reason = (work or step_of(context, name))(replace(context, step_arguments=tuple(arguments)))
            self._demand_expected_failure(step)
        except StepSkipped as skipped:
            outcome, reason = "skipped", skipped.reason
        except Interrupted as error:
            outcome, reason, interrupted = "error", error.message, error
        except KeyboardInterrupt as error:
            outcome, reason, interrupted = "error", "interrupted", Interrupted("interrupted")
            interrupted.__cause__ = error
        except StepFailed as failure:
            self._log.text(context.mask.text(failure.words))
            outcome, reason = self._judge(step, failure)
        except HarnessError as error:
            outcome, reason = "error", describe(error)
        except OSError as error:  # a full disk, a folder that has gone
            self._log.text(context.mask.text(traceback.format_exc()))
            outcome, reason = "error", f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        except Exception as error:
            self._log.text(context.mask.text(traceback.format_exc()))
            outcome, reason = "error", describe(error) + "\nthis is a defect of the harness; the log has the traceback"
        result = StepResult(
            step=step,
            outcome=outcome,
            duration=time.monotonic() - clock,
            reason=context.mask.text(reason) if reason is not None else None,
            log=self._log.path,
        )
        self._record(context, result, started)
        if interrupted is not None:
            raise interrupted

    def _record(self, context: Context, result: StepResult, started: float) -> None:
        self._position += 1
        if result.outcome in ("failed", "error") and self._failed is None:
            self._failed = result.step
        context.ledger.steps.append(result)
        context.remember(lambda: context.journal.record_step(context.run, self._position, started, result))
        context.observer.step_ended(context.scenario.name, result)

    def _judge(self, step: str, failure: StepFailed) -> tuple[Outcome, str]:
        expect = self._context.scenario.expect
        if expect is None or failure.stage is None or step not in ("syntax", "converge"):
            return failure.outcome, failure.reason
        if failure.stage == expect.stage and re.search(expect.error, failure.words):
            self._context.ledger.expected_failure = expect.stage
            return "passed", f"failed as expected: {failure.words}"
        wanted = f"the scenario expects the stage {expect.stage} to fail with words that match {expect.error!r}"
        return failure.outcome, f"{failure.reason}\n{wanted}"

    def _demand_expected_failure(self, step: str) -> None:
        expect = self._context.scenario.expect
        if expect is not None and _STAGE_STEPS[expect.stage] == step and self._context.ledger.expected_failure is None:
            raise StepFailed(
                f"the stage {expect.stage} passed, but the scenario expects it to fail"
                f" with words that match {expect.error!r}",
                outcome="failed",
            )


def _split(steps: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The steps, and those at the end that are walked in any case."""
    end = len(steps)
    while end and steps[end - 1] in ENDING:
        end -= 1
    return steps[:end], steps[end:]
