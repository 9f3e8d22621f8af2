"""How to reach an instance: frozen values that a driver makes and a connection opens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.models.serde import StrictModel


class Local(StrictModel):
    """This host itself."""

    kind: Literal["local"] = "local"


class Sandbox(StrictModel):
    """A native sandbox: the process that holds its name spaces, on this host.

    `start_time` (clock ticks since boot, /proc/PID/stat field 22) tells it from a later process with the same pid.
    `rootless`: the sandbox lives in a user name space of an ordinary user.
    """

    kind: Literal["sandbox"] = "sandbox"
    pid: int
    start_time: int
    rootless: bool = False
    capabilities: tuple[str, ...] = ()
    """The capability bounding set of what runs inside, as `CAP_CHOWN`."""
    cgroups: tuple[str, ...] = ()
    """Absolute cgroup directories on this host that a process joins before it enters."""


Endpoint = Annotated[Local | Sandbox, Field(discriminator="kind")]
