"""The second stub: the reference runner with the ways to be wrong built in. No compiler's name leads to it."""

from __future__ import annotations

from typing import ClassVar

from harness.compile.reference import ReferenceCompiler
from harness.models.runner import Payload


class MutantPayload(Payload):
    """A payload that only this stub takes: an honest one ends with status 2 at a field that it does not know."""

    mutant: str


class MutantStubs(ReferenceCompiler):
    """Builds the stub with cargo's feature `mutants`, and keeps it under a kind of its own: what `harness compile`
    looks for in the store it cannot find there."""

    kind: ClassVar[str] = "mutant-stub"
    features: ClassVar[tuple[str, ...]] = ("mutants",)
