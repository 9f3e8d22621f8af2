"""sshd in a container: reached at the container's address, or at the port of this machine that it is published on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.deadline import Deadline
from harness.drivers import sshd
from harness.drivers.base import Instance
from harness.drivers.docker import readiness, remains
from harness.drivers.docker.options import DockerOptions
from harness.errors import DriverFailed
from harness.models.endpoint import Docker, Endpoint, Ssh

if TYPE_CHECKING:
    from docker.api.client import APIClient

_EVERYWHERE = ("0.0.0.0", "", "::")


def through_sshd(
    client: APIClient, instance: Instance, options: DockerOptions, endpoint: Docker, deadline: Deadline
) -> Endpoint:
    """The endpoint that the platform asked for; with `connection: ssh` sshd runs in it from now on."""
    return offer(client, instance, options, endpoint, deadline) if options.connection == "ssh" else endpoint


def offer(client: APIClient, instance: Instance, options: DockerOptions, endpoint: Docker, deadline: Deadline) -> Ssh:
    """sshd runs in it from now on. Raises DriverFailed, NotReady."""
    row = readiness.inspect(client, instance)
    offered = sshd.offer(
        endpoint,
        instance.name,
        options.ssh,
        sshd.Keys.at(remains.keys_of(instance.record.id)),
        _way(instance, options, row, local=endpoint.daemon.url.startswith("unix://")),
        systemd=options.init == "systemd",
        deadline=deadline,
    )
    return offered.model_copy(update={"environment": dict(options.env)})


def _way(instance: Instance, options: DockerOptions, row: dict[str, Any], *, local: bool) -> sshd.Way:
    port, network = options.ssh.port, row["NetworkSettings"]
    if options.network_mode == "host" and local:
        return sshd.Way("127.0.0.1", port, ("127.0.0.1",))
    published = (network.get("Ports") or {}).get(f"{port}/tcp")
    if published and local:
        address = published[0]["HostIp"]
        here = "127.0.0.1" if address in _EVERYWHERE else address
        return sshd.Way(here, int(published[0]["HostPort"]), ("0.0.0.0",))
    addresses = [one["IPAddress"] for one in (network.get("Networks") or {}).values() if one.get("IPAddress")]
    if not addresses or not local:
        why = "has no address" if not addresses else "runs on another machine, whose networks do not reach this one"
        raise DriverFailed(
            f"{instance.name}: `connection: ssh` needs a way to its sshd, but its container {why}",
            hint="use `connection: direct`, which needs none",
        )
    return sshd.Way(addresses[0], port, ("0.0.0.0",))
