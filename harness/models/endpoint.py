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
    unconfined: bool = False
    """Without the system call filter of what runs inside: for what is done to a sandbox on purpose."""
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


class Ssh(StrictModel):
    """A machine behind sshd. Everything here is also what OpenSSH's own client (and so Ansible) needs to reach it."""

    kind: Literal["ssh"] = "ssh"
    host: str
    """A name or an address; with `use_config` it may be an alias of the user's ssh config."""
    port: int | None = None
    """None: what the user's ssh config says, else 22."""
    user: str | None = None
    """None: what the user's ssh config says, else this user's own name."""
    identities: tuple[str, ...] = ()
    """Private key files, absolute. With any, no other key is offered."""
    known_hosts: str | None = None
    """A file that holds this host's key and is alone believed; None: the user's own known_hosts files."""
    password_env: str | None = None
    """The environment variable of the harness's process that holds the password."""
    password_file: str | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    """A shell command whose stdin and stdout are the connection (how a sandbox's own network is entered), as
    ssh_config(5) has it: with tokens such as %h, and %% for a percent sign. `host` is then a mere name."""
    proxy_passes_socket: bool = False
    """With `--fdpass` at its end the proxy command passes the connected socket on its stdout and ends (ssh_config(5),
    ProxyUseFdpass)."""
    sandbox: Sandbox | None = None
    """In its network lies `port` of 127.0.0.1: who may enter that needs no proxy command."""
    use_config: bool = False
    """The user's ssh config, agent and default keys are honoured: a machine that is adopted, not made."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every command."""


class Serial(StrictModel):
    """A guest whose root shells are reached without a network, through virtio-serial ports.

    `sockets`: the host's ends of those ports, Unix sockets on which QEMU listens, absolute paths; one user at a time
    has each (a `PATH.lock` beside it says who), so several are needed. The first is kept for signals.
    """

    kind: Literal["serial"] = "serial"
    sockets: tuple[str, ...] = Field(min_length=1)
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every command."""


Endpoint = Annotated[Local | Sandbox | Docker | Serial | Ssh, Field(discriminator="kind")]
