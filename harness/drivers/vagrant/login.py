"""How a machine is reached: what Vagrant says of it, and the user that the platform asks for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from harness.connections import open_connection
from harness.deadline import Deadline, poll
from harness.drivers.answering import answering
from harness.drivers.host_keys import known_host
from harness.drivers.vagrant.command import CommandFailed, Vagrant
from harness.drivers.vagrant.options import VagrantOptions
from harness.errors import DriverFailed, NotReady, TransportFailed, Unreachable
from harness.models.endpoint import Ssh

ROOT = "root"
# With the keys that are let in for its own user; sshd takes the same key for root then, unless it is told otherwise.
_LET_ROOT_IN = """
set -e
keys=$(cat "$HOME/.ssh/authorized_keys")
sudo -n sh -c 'umask 077; mkdir -p ~root/.ssh; printf "%s\\n" "$1" >>~root/.ssh/authorized_keys' sh "$keys"
"""


@dataclass(frozen=True)
class Way:
    """Of `vagrant ssh-config`."""

    host: str
    port: int
    user: str
    identities: tuple[str, ...]
    proxy_command: str | None = None

    def endpoint(self, known_hosts: Path, options: VagrantOptions, user: str) -> Ssh:
        return Ssh(
            host=self.host,
            port=self.port,
            user=user,
            identities=self.identities,
            known_hosts=str(known_hosts),
            environment=options.environment,
        )


def parse(text: str) -> Way:
    """Of the first host in it, as ssh_config(5). Raises ValueError."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if len(words) > 1:
            found.setdefault(words[0].lower(), []).append(" ".join(words[1:]))
    if "hostname" not in found:
        raise ValueError("it names no host")
    return Way(
        host=found["hostname"][0],
        port=int(found.get("port", ["22"])[0]),
        user=found.get("user", ["vagrant"])[0],
        identities=tuple(found.get("identityfile", [])),
        proxy_command=next(iter(found.get("proxycommand", [])), None),
    )


def way(client: Vagrant, machine: str, name: str, deadline: Deadline) -> Way:
    """Once Vagrant knows one. Raises NotReady with its words."""

    def known(last: bool) -> Way | None:
        try:
            return parse(client.ssh_config(vm_name=machine))
        except CommandFailed as error:
            if last:
                raise NotReady(f"{name}: {error.message}", hint=error.hint) from error
            return None
        except ValueError as error:
            raise NotReady(f"{name}: `vagrant ssh-config` cannot be read: {error}") from error

    found = poll(known, deadline, interval=0.2, slowest=2.0)
    assert found is not None
    if found.proxy_command is not None:
        raise DriverFailed(
            f"{name}: its provider's machines are reached through another host, which the harness does not do",
            hint="run it on that host",
        )
    return found


def reach(found: Way, known_hosts: Path, name: str, options: VagrantOptions, deadline: Deadline) -> Ssh:
    """The endpoint, once it answers. Raises NotReady, DriverFailed."""
    _learn_host_key(found, known_hosts, name, deadline)
    user = options.user or found.user
    wanted = found.endpoint(known_hosts, options, user)
    if user == ROOT and user != found.user and not _lets_in(wanted, name, deadline):
        own = answering(found.endpoint(known_hosts, options, found.user), name, deadline)
        with open_connection(own, name=name) as connection:
            done = connection.run(_LET_ROOT_IN, timeout=max(1.0, deadline.remaining()))
        if not done.ok:
            words = done.err.strip() or f"status {done.rc}"
            raise DriverFailed(
                f"{name}: {found.user} cannot let root in: {words}",
                hint=f"the box needs sudo without a password for {found.user}; or leave `user` out",
            )
    return answering(wanted, name, deadline)


def _learn_host_key(found: Way, known_hosts: Path, name: str, deadline: Deadline) -> None:
    """Once: it was made a moment ago. A later one has to be the same."""
    place = found.host if found.port == 22 else f"[{found.host}]:{found.port}"
    if known_hosts.exists():
        # Its address may be another one now.
        told = [f"{place} {line.partition(' ')[2]}" for line in known_hosts.read_text().splitlines()]
        known_hosts.write_text("".join(f"{line}\n" for line in told))
        return

    def learnt(last: bool) -> Path | None:
        try:
            return known_host(known_hosts, found.host, found.port, deadline)
        except NotReady as error:
            if last:
                raise NotReady(f"{name}: {error.message}", hint=error.hint) from error
            return None

    poll(learnt, deadline, interval=0.2, slowest=2.0)


def _lets_in(endpoint: Ssh, name: str, deadline: Deadline) -> bool:
    """Whether its key is taken."""

    def asked(last: bool) -> bool | None:
        with open_connection(endpoint, name=name) as connection:
            try:
                return connection.run("true", timeout=10.0).ok
            except Unreachable:
                return False if last else None
            except TransportFailed:
                return False

    return bool(poll(asked, deadline, interval=0.2, slowest=2.0))
