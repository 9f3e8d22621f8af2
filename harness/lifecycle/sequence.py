"""Which steps a verb walks, as data: the scenario's own sequence, and what has to come before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.models.scenario import Scenario

NEEDS: Mapping[str, tuple[str, ...]] = {
    "prepare": ("create",),
    "converge": ("create", "prepare"),
    "idempotence": ("create", "prepare", "converge"),
    "side_effect": ("create", "prepare", "converge"),
    "verify": ("create", "prepare", "converge"),
}
"""What must have been done on every platform before a step; what is missing is run before it."""

ENDING = ("cleanup", "destroy")
"""Walked even after a step has failed."""

TRANSIENT = ("test", "check", "compare")
"""Verbs that work on platforms of their own, and destroy them."""

PLAN_STEPS = frozenset({"converge", "idempotence", "observe"})
"""They compile and run the plan."""


def steps_of(scenario: Scenario, verb: str, *, done: Collection[str] = ()) -> tuple[str, ...]:
    """The steps of `verb`, what is missing put before them.

    `done` are steps that hold already for every platform. `test` works on instances of its own, so nothing holds
    yet; but its sequence is the user's own: only `create`, without which nothing can be done, is added to it.
    The plan is always checked (`syntax`) before anything is created for it.
    """
    steps: list[str] = []
    for step in scenario.sequences[verb]:
        for needed in NEEDS.get(step.split()[0], ()):
            if needed not in steps and needed not in done and (verb not in TRANSIENT or needed == "create"):
                steps.append(needed)
        steps.append(step)
    if verb in TRANSIENT and steps[-1:] != ["destroy"]:
        steps.append("destroy")  # what `test` makes is its own; only --destroy says otherwise
    plan = scenario.provisioner.name == "binary" and not PLAN_STEPS.isdisjoint(steps)
    if plan and "create" in steps and "syntax" not in steps:
        steps.insert(steps.index("create"), "syntax")
    return tuple(steps)
