"""How a host gets its tasks done: a pure function of what is asked for and what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import Unsupported
from harness.models.config import BinaryOnly, DeploymentStrategy

Method = Literal["binary", "ssh"]


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is for a person; a host that degrades gets a second decision after this one."""

    host: str
    method: Method
    reason: str


def decide(host: str, strategy: DeploymentStrategy) -> Decision:
    """Raises Unsupported for a strategy that cannot be carried out yet."""
    if isinstance(strategy, BinaryOnly):
        return Decision(host, "binary", "the strategy is binary-only")
    raise Unsupported(
        f"the strategy {strategy.tag}",
        by="this version",
        hint="use `strategy: binary-only` in the scenario's provisioner",
    )
