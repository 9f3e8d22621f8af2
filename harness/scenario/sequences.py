"""Which steps a verb walks through. The defaults are those of Molecule's constants.py and scenario.py."""

from __future__ import annotations

from harness.models.problems import shown, unknown
from harness.scenario.file import ScenarioSection

STEPS = (
    "dependency",
    "cleanup",
    "destroy",
    "syntax",
    "create",
    "prepare",
    "converge",
    "idempotence",
    "side_effect",
    "verify",
    "check",
    "lint",
)
"""Every step there is. `lint` is accepted for the sake of old files, as Molecule does."""

DEFAULTS: dict[str, tuple[str, ...]] = {
    "check": (
        "dependency",
        "cleanup",
        "destroy",
        "create",
        "prepare",
        "converge",
        "check",
        "cleanup",
        "destroy",
    ),
    "cleanup": ("cleanup",),
    "compare": ("dependency", "create", "prepare", "observe", "cleanup", "destroy"),
    "converge": ("dependency", "create", "prepare", "converge"),
    "create": ("dependency", "create", "prepare"),
    "dependency": ("dependency",),
    "destroy": ("dependency", "cleanup", "destroy"),
    "idempotence": ("idempotence",),
    "lint": ("lint",),
    "prepare": ("prepare",),
    "side_effect": ("side_effect",),
    "syntax": ("syntax",),
    "test": (
        "dependency",
        "cleanup",
        "destroy",
        "syntax",
        "create",
        "prepare",
        "converge",
        "idempotence",
        "side_effect",
        "verify",
        "cleanup",
        "destroy",
    ),
    "verify": ("verify",),
}
"""By verb, for a scenario that says nothing. That of `compare` is nobody's to change: all sides must have it alike."""

_WITH_ARGUMENTS = ("side_effect", "verify")


def sequences_of(section: ScenarioSection) -> dict[str, tuple[str, ...]]:
    """By verb: what the scenario says, else the default."""
    found = dict(DEFAULTS)
    for verb in DEFAULTS:
        written: list[str] | None = getattr(section, f"{verb}_sequence", None)
        if written is not None:
            found[verb] = tuple(written)
    return found


def step_fault(step: str, *, arguments: bool) -> str | None:
    """Why this can't be a step; `arguments`: whether Molecule's `side_effect FILE` and `verify FILE` make sense."""
    name, *rest = step.split() or [""]
    if name not in STEPS:
        return unknown(name, STEPS, what=f"there is no step {shown(name)}")
    if rest and name not in _WITH_ARGUMENTS:
        return f"the step {name} takes no arguments"
    if rest and not arguments:
        return f"{name} with a file of its own works with provisioner ansible only; put it into one {name}"
    return None
