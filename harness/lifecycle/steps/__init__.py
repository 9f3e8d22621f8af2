"""The steps of a sequence. Each is a function of the Context that returns when it has passed (with a word on how, where
that is worth one), and otherwise raises StepFailed, StepSkipped or a HarnessError."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepSkipped
from harness.lifecycle.steps.converge import check, converge, syntax
from harness.lifecycle.steps.create import create, destroy
from harness.lifecycle.steps.dependency import dependency
from harness.lifecycle.steps.faults import after_faults, disturbed, with_known_tasks
from harness.lifecycle.steps.idempotence import idempotence
from harness.lifecycle.steps.observe import observe, survey
from harness.lifecycle.steps.scripts import cleanup, prepare, side_effect
from harness.lifecycle.steps.verify import verify

Step = Callable[[Context], str | None]


def _without_meaning(reason: str) -> Step:
    def skip(context: Context) -> None:
        raise StepSkipped(reason)

    return skip


STEPS: Mapping[str, Step] = {
    "dependency": dependency,
    "lint": _without_meaning("linting is for other tools"),
    "syntax": with_known_tasks(syntax),
    "create": create,
    "prepare": prepare,
    "converge": disturbed(converge),
    "check": check,
    "idempotence": idempotence,
    "observe": observe,
    "survey": survey,
    "side_effect": after_faults(side_effect),
    "verify": verify,
    "cleanup": cleanup,
    "destroy": destroy,
}


def step_of(context: Context, name: str) -> Step:
    """What the step means for the scenario's provisioner."""
    if context.scenario.provisioner.name == "ansible":
        from harness.lifecycle.steps import playbooks

        return playbooks.step_of(context, name) or STEPS[name]
    return STEPS[name]
