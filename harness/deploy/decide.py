"""How a host gets its tasks done: a pure function of what is asked for and what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.deploy.segments import Segment, segments_of, unhonoured
from harness.models.config import BinaryOnly, DeploymentStrategy, ForceSSH, Hybrid, SSHFallback
from harness.models.runner import Payload

Method = Literal["binary", "ssh", "hybrid", "none"]

NAMES: Mapping[str, str] = {
    BinaryOnly.tag: "binary-only",
    SSHFallback.tag: "ssh-fallback",
    Hybrid.tag: "hybrid",
    ForceSSH.tag: "force-ssh",
}
"""The strategies as a scenario spells them."""

_TOLD = 5
"""Tasks that a reason names before the rest is counted."""


@dataclass(frozen=True)
class Circumstances:
    """What is known of a host and of this machine before anything is compiled.

    `target` is None where no target triple fits the host; `toolchain` says what keeps the compiler from compiling for
    it, `ssh` what keeps Ansible from reaching it, each in words and empty when nothing does. `parts`: the compiler's
    runners can run a plan in parts.
    """

    strategy: DeploymentStrategy
    target: str | None
    toolchain: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    parts: bool = True


@dataclass(frozen=True)
class Decision:
    """`reasons` are for a person. `obstacles`: what is known to stand in the way of the method. `degraded`: the
    strategy wanted a binary and this is less. A host that degrades later gets a further decision after this one."""

    host: str
    method: Method
    reasons: tuple[str, ...]
    obstacles: tuple[str, ...] = ()
    degraded: bool = False
    segments: tuple[Segment, ...] = ()


def decide(host: str, payload: Payload | None, known: Circumstances) -> Decision:
    """`payload` is the host's slice of the plan; None where no task is for it."""
    if payload is None:
        return Decision(host, "none", ("no task is for it",))
    return _RULES[known.strategy.tag](host, payload, known)


def _binary_only(host: str, payload: Payload, known: Circumstances) -> Decision:
    return Decision(host, "binary", ("the strategy is binary-only",), obstacles=_against_binary(payload, known))


def _force_ssh(host: str, payload: Payload, known: Circumstances) -> Decision:
    return Decision(host, "ssh", ("the strategy is force-ssh",), obstacles=known.ssh)


def _ssh_fallback(host: str, payload: Payload, known: Circumstances) -> Decision:
    against = _against_binary(payload, known)
    if against:
        return Decision(host, "ssh", ("no binary can be had", *against), obstacles=known.ssh, degraded=True)
    return Decision(host, "binary", ("the strategy is ssh-fallback: a binary first",))


def _hybrid(host: str, payload: Payload, known: Circumstances) -> Decision:
    lacking = unhonoured(payload)
    count = sum(len(play.tasks) + len(play.handlers) for play in payload.plays)
    segments = segments_of(payload)
    methods = {segment.method for segment in segments}
    if methods == {"binary"}:
        return Decision(host, "binary", ("the compiler honours every task",), obstacles=_toolchain(known))
    why = _named(lacking) if lacking else ()
    if methods == {"ssh"}:
        return Decision(host, "ssh", ("no task can go by binary", *why), obstacles=known.ssh)
    over = sum(len(segment.tasks) + len(segment.handlers) for segment in segments if segment.method == "ssh")
    reasons = (f"{over} of {count} tasks and handlers go over SSH", *why)
    parts = () if known.parts else ("the compiler's runners cannot run a plan in parts",)
    obstacles = (*_toolchain(known), *parts, *known.ssh)
    return Decision(host, "hybrid", reasons, obstacles=obstacles, segments=segments)


_RULES: Mapping[str, Callable[[str, Payload, Circumstances], Decision]] = {
    BinaryOnly.tag: _binary_only,
    SSHFallback.tag: _ssh_fallback,
    Hybrid.tag: _hybrid,
    ForceSSH.tag: _force_ssh,
}


def _against_binary(payload: Payload, known: Circumstances) -> tuple[str, ...]:
    return (*_toolchain(known), *_named(unhonoured(payload)))


def _toolchain(known: Circumstances) -> tuple[str, ...]:
    return known.toolchain or (("no target triple is known for the host",) if known.target is None else ())


def _named(lacking: Mapping[str, str]) -> tuple[str, ...]:
    told = tuple(f"{task}: {words}" for task, words in list(lacking.items())[:_TOLD])
    more = len(lacking) - _TOLD
    return (*told, f"... and {more} more") if more > 0 else told
