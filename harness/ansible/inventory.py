"""Hosts as Ansible's inventory has them."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue

from harness.ansible.job import AnsibleFailed, AnsibleHost
from harness.connections.ssh_config import config_arguments
from harness.errors import HarnessError
from harness.models.endpoint import Endpoint, Local, Ssh

Variables = dict[str, JsonValue]


def host_variables(host: AnsibleHost) -> Variables:
    """What tells Ansible how to reach it, and its own variables. Raises AnsibleFailed where there is no way."""
    if host.connection is not None:
        way: Variables = {"ansible_connection": "harness", "ansible_pipelining": True}
    else:
        way = _endpoint_variables(host.endpoint, host.name)
    if isinstance(host.endpoint, Local):
        way["ansible_python_interpreter"] = sys.executable  # as Ansible does for its own localhost
    return {**way, **host.variables}


def inventory(
    hosts: Iterable[AnsibleHost], group_vars: Mapping[str, Mapping[str, JsonValue]] | None = None
) -> dict[str, Any]:
    """The whole inventory as one YAML document."""
    groups: dict[str, dict[str, Any]] = {"all": {"hosts": {}}}
    for host in hosts:
        groups["all"]["hosts"][host.name] = host_variables(host)
        for group in host.groups:
            if group != "all":
                groups.setdefault(group, {}).setdefault("hosts", {})[host.name] = {}
    for group, variables in (group_vars or {}).items():
        groups.setdefault(group, {})["vars"] = dict(variables)
    return groups


def write_private(path: Path, tree: object) -> None:
    """YAML that nobody else can read: it may hold passwords."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        yaml.safe_dump(tree, file, allow_unicode=True, sort_keys=False)


def ssh_arguments(endpoint: Ssh) -> list[str]:
    """Options of OpenSSH's client for what an inventory has no variable for."""
    options = config_arguments() if endpoint.use_config else ["-F", "none"]
    if endpoint.identities:
        options += ["-o", "IdentitiesOnly=yes"]
        for identity in endpoint.identities:
            options += ["-i", identity]
    if endpoint.known_hosts is not None:
        options += ["-o", f"UserKnownHostsFile={_config_word(endpoint.known_hosts)}"]
        options += ["-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"]
    if endpoint.proxy_jump is not None:
        options += ["-J", endpoint.proxy_jump]
    if endpoint.proxy_command is not None:
        passes = endpoint.proxy_passes_socket
        options += ["-o", f"ProxyCommand={endpoint.proxy_command}{' --fdpass' if passes else ''}"]
        options += ["-o", "ProxyUseFdpass=yes"] if passes else []
    return options


def _endpoint_variables(endpoint: Endpoint, name: str) -> Variables:
    if isinstance(endpoint, Local):
        return {"ansible_connection": "local"}
    if not isinstance(endpoint, Ssh):
        raise AnsibleFailed(
            f"{name}: Ansible has no way of its own to a {endpoint.kind} platform",
            hint="give it an open connection, or set `connection: ssh` on the platform",
        )
    found: Variables = {"ansible_connection": "ssh", "ansible_host": endpoint.host}
    # Ansible's own name for a master is made of host, port and user, which may be the same for machines behind proxies.
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    found["ansible_control_path"] = f"%(directory)s/{digest}"
    if endpoint.port is not None:
        found["ansible_port"] = endpoint.port
    if endpoint.user is not None:
        found["ansible_user"] = endpoint.user
    if arguments := ssh_arguments(endpoint):
        found["ansible_ssh_common_args"] = shlex.join(arguments)
    if (password := _password(endpoint, name)) is not None:
        found["ansible_password"] = password
    return found


def _password(endpoint: Ssh, name: str) -> str | None:
    if endpoint.password_env is not None:
        if (value := os.environ.get(endpoint.password_env)) is None:
            raise HarnessError(
                f"{name}: the environment variable {endpoint.password_env} is not set",
                hint=f"its password is to come from there: export {endpoint.password_env}=...",
            )
        return value
    if endpoint.password_file is not None:
        try:
            return Path(endpoint.password_file).read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            raise HarnessError(f"{name}: cannot read {endpoint.password_file}: {error.strerror or error}") from error
    return None


def _config_word(path: str) -> str:
    """A value of ssh_config(5) that may hold spaces."""
    return f'"{path}"' if " " in path else path
