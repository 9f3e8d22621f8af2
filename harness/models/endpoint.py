"""How to reach an instance: frozen values that a driver makes and a connection opens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.models.serde import StrictModel


class Local(StrictModel):
    """This host itself.

    `directory`: what runs there begins in this folder, which is also its HOME. The fake driver's instances are such
    folders; absolute paths are still this host's own.
    """

    kind: Literal["local"] = "local"
    directory: str | None = None


class Sandbox(StrictModel):
    """A native sandbox: the process that holds its name spaces, on this host.

    `start_time` (clock ticks since boot, /proc/PID/stat field 22) tells it from a later process with the same pid.
    `rootless`: the sandbox lives in a user name space of its own, which is joined first.
    """

    kind: Literal["sandbox"] = "sandbox"
    pid: int
    start_time: int
    rootless: bool = False
    capabilities: tuple[str, ...] = ()
    """The capability bounding set of what runs inside, as `CAP_CHOWN`."""
    cgroups: tuple[str, ...] = ()
    """Absolute cgroup directories on this host that a process joins before it enters."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the plain default environment of every command."""
    foreign_root: bool = False
    """The host's root owns what is inside, and we are not it (an ordinary user's view of the host): root's files
    cannot be changed, so no package, no service and no other user's file."""


class DaemonAddress(StrictModel):
    """A Docker-compatible daemon: `unix://`, `tcp://` or `ssh://`; the paths are those of TLS credentials."""

    url: str
    cacert_path: str | None = None
    cert_path: str | None = None
    key_path: str | None = None
    tls_verify: bool = False


class Docker(StrictModel):
    """A container, by the daemon's own id of it: a later container of the same name is another one."""

    kind: Literal["docker"] = "docker"
    container: str
    daemon: DaemonAddress


Endpoint = Annotated[Local | Sandbox | Docker, Field(discriminator="kind")]
