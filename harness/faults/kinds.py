"""The kinds of faults there are, and what each asks for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from harness.drivers.base import Capability
from harness.faults.target import Target, Undo
from harness.models.fault import TEMPORARY, Fault, Moment

EVER: tuple[Moment, ...] = ("converge", "push", "run", "side_effect")
AT_OPENING: tuple[Moment, ...] = ("converge", "side_effect")


@dataclass(frozen=True)
class Kind:
    """`function` is `module.name` below this package, imported when it is used. `through_sshd`: the platform must be
    reached by `connection: ssh`; `fronted`: and by a proxy of ours. `own`: the keys that only some kinds have."""

    function: str
    about: str
    through_sshd: bool = False
    fronted: bool = False
    capability: Capability | None = None
    moments: tuple[Moment, ...] = EVER
    own: frozenset[str] = field(default_factory=frozenset)
    owned: bool = True
    """Only for platforms that a driver made: this would harm a machine that somebody lives on."""
    needs: str | None = None
    """`module.name` of what says why this machine cannot do it to a driver's platforms, or None."""
    sets_clock: bool = False
    state: bool = False
    """A platform is in it or is not: asked for twice, it ends with the last."""

    def words(self, fault: Fault) -> str:
        """What happens, for people."""
        paths = ", ".join(fault.paths or TEMPORARY)
        return self.about.format(paths=paths, offset=f"{fault.offset_seconds:+g} s")

    def unavailable(self, capabilities: Collection[Capability]) -> str | None:
        """Why it cannot be done on this machine to platforms of a driver with these, in words; None where it can."""
        if self.needs is None:
            return None
        module, _, name = self.needs.partition(".")
        judge: Callable[[Collection[Capability]], str | None]
        judge = getattr(importlib.import_module(f"harness.faults.{module}"), name)
        return judge(capabilities)

    def inject(self, target: Target, fault: Fault) -> Undo:
        """Raises HarnessError where it cannot be done."""
        module, _, name = self.function.partition(".")
        function: Callable[[Target, Fault], Undo] = getattr(importlib.import_module(f"harness.faults.{module}"), name)
        return function(target, fault)


_PATHS = frozenset({"paths"})

KINDS: Mapping[str, Kind] = {
    "sshd-stopped": Kind("sshd.stop", "sshd and all its sessions end", through_sshd=True, state=True),
    "connection-cut": Kind("network.cut", "open connections are reset", through_sshd=True, fronted=True),
    "packets-dropped": Kind("network.drop", "nothing passes any more", through_sshd=True, fronted=True, state=True),
    "host-key-changed": Kind(
        "credentials.other_host_key", "the host shows another key than is known of it",
        through_sshd=True, moments=AT_OPENING, owned=False, state=True,
    ),
    "wrong-key": Kind(
        "credentials.wrong_key", "a key that the host does not accept",
        through_sshd=True, moments=AT_OPENING, owned=False, state=True,
    ),
    "wrong-password": Kind(
        "credentials.wrong_password", "a password that the host does not accept",
        through_sshd=True, moments=AT_OPENING, owned=False, state=True,
    ),
    "disk-full": Kind("disk.full", "no space is left on {paths}", own=_PATHS),
    "read-only": Kind("disk.read_only", "read-only: {paths}", own=_PATHS),
    "noexec": Kind("disk.noexec", "nothing may be executed on {paths}", own=_PATHS),
    "clock-skew": Kind(
        "clock.skew", "the clock is set by {offset}",
        capability=Capability.OWN_CLOCK, own=frozenset({"offset_seconds"}), sets_clock=True,
    ),
    "out-of-memory": Kind(
        "memory.exhausted", "no memory is left for the runner, and the kernel kills",
        moments=("run",), needs="memory.unavailable",
    ),
    "target-killed": Kind("life.killed", "the platform dies", capability=Capability.REBOOT, state=True),
    "target-frozen": Kind(
        "life.frozen", "the platform's processes stand still", capability=Capability.FREEZE, state=True
    ),
}  # fmt: skip
