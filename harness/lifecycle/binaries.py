"""What each host of a run gets: what compilation brings forth and deployment takes up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.deploy.decide import Decision
from harness.models.results import CompilationResult
from harness.models.runner import Payload


class Uncompiled(NamedTuple):
    """Why a binary could not be made, and the seconds that trying took."""

    why: str
    spent: float


@dataclass(frozen=True)
class Binaries:
    """What was decided and compiled for `hosts`: one binary per slice and target. A host that has no task is in none
    of the mappings; one that gets no binary is not in `of_host`."""

    hosts: frozenset[str]
    payloads: Mapping[str, Payload]
    decisions: Mapping[str, Decision]
    of_host: Mapping[str, CompilationResult]
    failures: Mapping[str, Uncompiled]
    """The hosts without a binary that would have had one, and that may go without."""
    parts: bool
    """As the compiler's Honours have it."""
