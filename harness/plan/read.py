"""A plan from a file, whichever of the two formats it has."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InvalidInput, Problem
from harness.models.plan import Plan
from harness.models.problems import shown
from harness.plan.document import read_document, refuse
from harness.plan.fields import Faults
from harness.plan.newer import read_newer
from harness.plan.older import read_older
from harness.plan.structure import check_structure


@dataclass(frozen=True)
class Draft:
    """A plan as far as it could be read: complete where `problems` is empty."""

    plan: Plan
    problems: tuple[Problem, ...]


def read_plan(path: Path) -> Plan:
    """Raises InvalidInput with ALL that is wrong with the plan itself, each by its path in the file.

    What it asks of a compiler, of platforms and of files beside it is the matter of `check_plan`.
    """
    draft = read_draft(path)
    if draft.problems:
        refuse(path, draft.problems)
    return draft.plan


def read_draft(path: Path) -> Draft:
    """As `read_plan`, but only a file that holds no plan at all raises InvalidInput."""
    document = read_document(path)
    return draft_of(document.value, document.sha256, path)


def draft_of(value: Any, digest: str, path: Path) -> Draft:
    """As `read_draft`, of a document's value, which is used up: a large plan need not be in memory twice."""
    faults = Faults(path.name)
    with _no_collector():
        plan = _read(value, digest, faults, path)
        check_structure(plan, faults)
    return Draft(plan, tuple(faults.problems))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Python's cycle collector visits all that was made so far again and again, and finds nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(value: Any, digest: str, faults: Faults, path: Path) -> Plan:
    if isinstance(value, dict) and "plays" in value:
        return read_newer(value, digest, faults)
    if isinstance(value, dict) and ("tasks" in value or "inventory" in value):
        return read_older(value, digest, faults)
    if not isinstance(value, dict):
        raise InvalidInput(str(path), [Problem(path.name, f"a plan is an object, not {shown(value)}")])
    words = "is no plan: it lacks `plays` (the format of rustle-plan), and `tasks` and `inventory` (the older one)"
    hint = f"its keys are {', '.join(list(value)[:10])}" if value else "it is an empty object"
    raise InvalidInput(str(path), [Problem(path.name, words, hint)])
