"""How faults come into the steps that they disturb."""

from __future__ import annotations

from collections.abc import Callable

from harness.errors import Interrupted
from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped
from harness.lifecycle.steps.converge import checked_plan

Step = Callable[[Context], None]


def with_known_tasks(syntax: Step) -> Step:
    """A fault that waits for a task which does not exist is refused with the plan."""

    def step(context: Context) -> None:
        syntax(context)
        if problems := context.faults.unknown_tasks(checked_plan(context).plan):
            raise StepFailed("\n".join(problems), outcome="error")

    return step


def disturbed(converge: Step) -> Step:
    """The faults of the step converge, from before its beginning to after its end."""

    def step(context: Context) -> None:
        if context.faults.has("converge"):
            context.connections("converge")
            context.faults.strike("converge")
        try:
            converge(context)
        except Interrupted:
            context.faults.end()  # nobody asks what they would have come to
            raise
        finally:
            context.faults.end_converge()

    return step


def after_faults(side_effect: Step) -> Step:
    """Faults first, then the scenario's own file."""

    def step(context: Context) -> None:
        if not context.faults.has("side_effect"):
            side_effect(context)
            return
        context.connections("side_effect")
        context.faults.strike("side_effect")
        try:
            side_effect(context)
        except StepSkipped:
            return  # faults alone are a side effect, too

    return step
