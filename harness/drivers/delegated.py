"""The driver `default`: platforms that the user's create.yml makes and destroy.yml removes, as Molecule's driver of
that name has it. The steps run those playbooks (harness.lifecycle.steps.delegated); here is how what they made is
reached: by what create.yml wrote into instance_config.yml, or by what the inventory says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from harness.deadline import Deadline
from harness.drivers.base import (
    Capability,
    Driver,
    Instance,
    InstanceRecord,
    PlatformSpec,
    RunId,
    ScenarioRef,
    Site,
    Snapshot,
)
from harness.drivers.host_keys import known_host, private_file
from harness.errors import HarnessError, NotReady, Problem
from harness.models.endpoint import DaemonAddress, Docker, Endpoint, Local, Ssh
from harness.models.serde import StrictModel

NAME = "default"
Variables = dict[str, JsonValue]

_SSH_OPTIONS = (
    "-o UserKnownHostsFile=/dev/null",
    "-o ControlMaster=auto",
    "-o ControlPersist=60s",
    "-o ForwardX11=no",
    "-o LogLevel=ERROR",
    "-o IdentitiesOnly=yes",
    "-o StrictHostKeyChecking=no",
)
"""Molecule's: the machines are new, and so are their host keys."""
_MAPPED = ("become_pass", "become_method", "winrm_transport", "winrm_cert_pem", "winrm_cert_key_pem")
_MAPPED_TOO = ("winrm_server_cert_validation", "shell_type", "connection")
"""Keys of instance_config.yml that are Ansible's variables without `ansible_`."""
_SSH = ("smart", "ssh", "ansible.builtin.ssh", "paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh")
_DOCKER = ("docker", "docker_api", "community.docker.docker", "community.docker.docker_api")
_PODMAN = ("podman", "containers.podman.podman")
_INVENTORY_SECONDS = 60.0
_HINT = "see what create.yml wrote into instance_config.yml"


class DelegatedOptions(StrictModel):
    """What the scenario's `driver` says; set by the loader, not by a platform's keys."""

    managed: bool = True
    connection: Variables = Field(default_factory=dict)
    """`driver.options.ansible_connection_options`, of machines that are not managed."""
    ssh_options: tuple[str, ...] = ()
    ephemeral: Path = Path()


def options_of(spec: PlatformSpec) -> DelegatedOptions:
    return spec.options if isinstance(spec.options, DelegatedOptions) else DelegatedOptions()


def variables_of(spec: PlatformSpec) -> Variables:
    """How Ansible reaches it, as Molecule puts it into its inventory; empty before create.yml has said so."""
    from harness.ansible.ephemeral import read_instance_config

    options = options_of(spec)
    if not options.managed:
        return dict(options.connection)
    entry = read_instance_config(options.ephemeral / "instance_config.yml").get(spec.name)
    if entry is None:
        return {}
    found: Variables = {f"ansible_{key}": entry[key] for key in (*_MAPPED, *_MAPPED_TOO) if entry.get(key)}
    found |= {
        "ansible_user": entry.get("user"),
        "ansible_host": entry.get("address"),
        "ansible_port": entry.get("port"),
    }
    if entry.get("identity_file"):
        found["ansible_private_key_file"] = entry["identity_file"]
    if entry.get("password"):
        found["ansible_password"] = found["ansible_ssh_pass"] = entry["password"]
    found["ansible_ssh_common_args"] = " ".join(options.ssh_options or _SSH_OPTIONS)
    return {name: value for name, value in found.items() if value is not None}


class DelegatedDriver(Driver):
    name = NAME
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PARALLEL})
    platform_options = DelegatedOptions
    first_step = "write create.yml and destroy.yml beside molecule.yml (docs/molecule.md)"

    def diagnose(self) -> list[Problem]:
        from harness.ansible.find import find_command

        try:
            find_command("ansible-playbook")
        except HarnessError as error:
            return [Problem("driver default", error.message, error.hint)]
        return []

    def open(self, scenario: ScenarioRef, run: RunId, *, keep: bool) -> Site:
        return DelegatedSite(self, scenario, run, keep=keep)

    def instances(self) -> list[InstanceRecord]:
        """None: only the scenario's own destroy.yml knows what its create.yml makes."""
        return []

    def reap(self, record: InstanceRecord) -> None:
        return


class DelegatedSite(Site):
    def create(self, specs: Sequence[PlatformSpec], bases: Mapping[str, Snapshot]) -> list[Instance]:
        """They are noted; create.yml makes them."""
        return [Instance(spec, self._noted(spec, f"{self.scenario.name}/{spec.name}")) for spec in specs]

    def adopt(self, spec: PlatformSpec, record: InstanceRecord) -> Instance:
        return Instance(spec, record)

    def wait_ready(self, instance: Instance, deadline: Deadline) -> Endpoint:
        """How the harness itself reaches it (testinfra, login, exec). Raises NotReady where it has no way."""
        variables = variables_of(instance.spec) or _from_inventory(instance.spec, deadline)
        return _endpoint(instance.spec, variables, deadline)

    def destroy(self, instance: Instance) -> None:
        """Nothing: destroy.yml has done it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def _endpoint(spec: PlatformSpec, variables: Mapping[str, Any], deadline: Deadline) -> Endpoint:
    way = str(variables.get("ansible_connection") or "smart")
    host = str(variables.get("ansible_host") or spec.name)
    if way in ("local", "ansible.builtin.local"):
        return Local()
    if way in _DOCKER:
        from harness.daemon import default_address

        url = variables.get("ansible_docker_host")
        return Docker(container=host, daemon=DaemonAddress(url=str(url)) if url else default_address())
    if way in _PODMAN:
        return Docker(container=host, daemon=DaemonAddress(url=os.environ.get("CONTAINER_HOST") or _podman_socket()))
    if way in _SSH:
        return _ssh(spec, variables, host, deadline)
    raise NotReady(
        f"{spec.name}: the harness has no connection of its own for ansible_connection: {way}",
        hint="playbooks reach it; testinfra, login and exec need ssh, docker, podman or local",
    )


def _ssh(spec: PlatformSpec, variables: Mapping[str, Any], host: str, deadline: Deadline) -> Ssh:
    folder = options_of(spec).ephemeral
    port = int(variables.get("ansible_port") or 22)
    identity = variables.get("ansible_private_key_file") or variables.get("ansible_ssh_private_key_file")
    password = variables.get("ansible_password") or variables.get("ansible_ssh_pass")
    return Ssh(
        host=host,
        port=port,
        user=variables.get("ansible_user"),
        identities=(str(Path(str(identity)).expanduser().absolute()),) if identity else (),
        known_hosts=str(known_host(folder / f"known_hosts-{spec.name}", host, port, deadline, hint=_HINT)),
        password_file=str(private_file(folder / f"password-{spec.name}", f"{password}\n")) if password else None,
        use_config=not identity and not password,
    )


def _from_inventory(spec: PlatformSpec, deadline: Deadline) -> Variables:
    """What a create.yml that writes inventory files of its own says of it."""
    from harness.ansible.find import find_command

    command = [str(find_command("ansible-inventory")), "-i", str(options_of(spec).ephemeral / "inventory")]
    try:
        done = subprocess.run(
            [*command, "--host", spec.name],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max(1.0, min(_INVENTORY_SECONDS, deadline.remaining())),
        )
        found = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError):
        found = {}
    if not isinstance(found, dict) or not any(key.startswith("ansible_") for key in found):
        raise NotReady(
            f"{spec.name}: neither instance_config.yml nor the inventory says how it is reached",
            hint="let create.yml write molecule_instance_config, with instance, address, user, port and identity_file",
        )
    return found


def _podman_socket() -> str:
    own = Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")) / "podman" / "podman.sock"
    return f"unix://{own if own.exists() else '/run/podman/podman.sock'}"
