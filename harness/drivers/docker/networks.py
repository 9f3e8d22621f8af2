"""The networks of a scenario's run: its own, on which platforms find each other by name, and those that it names.

They form a group, named like the run's own network: each carries the group's name in its label `network`, as the
containers do, and all go when no container needs the group any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.drivers.base import RunId, ScenarioRef
from harness.drivers.docker import labels
from harness.drivers.docker.options import DockerOptions, NetworkDefinition
from harness.errors import DriverFailed

if TYPE_CHECKING:
    from docker.api.client import APIClient

_PLAIN = ("bridge", "host", "none")
"""The daemon's own, on which it refuses aliases."""


@dataclass(frozen=True)
class Membership:
    """A container's place on a network."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    links: tuple[tuple[str, str], ...] = ()
    """Container and alias: how this container alone calls that one."""

    def arguments(self) -> dict[str, Any]:
        """In the SDK's words."""
        return {
            "aliases": list(self.aliases) if self.network not in _PLAIN else None,
            "ipv4_address": self.ipv4_address,
            "ipv6_address": self.ipv6_address,
            "links": dict(self.links) or None,
        }


def memberships(
    client: APIClient, group: str, platform: str, options: DockerOptions, names: Mapping[str, str]
) -> tuple[Membership, ...]:
    """Where the container belongs, its first place first; nothing where `network_mode` says it all.

    `names`: the containers' names by platform.
    """
    if options.network_mode is not None:
        return ()
    aliases = tuple(dict.fromkeys([platform, *([options.hostname] if options.hostname else [])]))
    found = []
    if not options.purge_networks:
        found.append(Membership(group, aliases, links=_links(options.links, names)))
    for joined in options.networks:
        found.append(
            Membership(
                _resolved(client, group, joined.name),
                tuple(dict.fromkeys([*joined.aliases, *aliases])),
                joined.ipv4_address,
                joined.ipv6_address,
                _links(joined.links, names),
            )
        )
    return tuple(found)


def _links(texts: list[str], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = []
    for text in texts:
        name, _, alias = text.partition(":")
        found.append((names.get(name, name), alias or name))
    return tuple(found)


def own_name(group: str, name: str) -> str:
    """Of a network that the scenario calls `name`; no container can be called so."""
    return f"{group}.{name}"


def _resolved(client: APIClient, group: str, name: str) -> str:
    """The run's own network of that name, if it is there already; else somebody's; else the run's own to be."""
    own = own_name(group, name)
    there = {row["Name"] for row in client.networks(names=[name])}
    return name if name in there and own not in there else own


def make(
    client: APIClient, scenario: ScenarioRef, run: RunId, group: str, network: str, definition: NetworkDefinition | None
) -> None:
    """Raises docker's errors."""
    told = labels.make(scenario, run, name=network, platform=labels.LEFTOVER_NETWORK, kept=False, network=group)
    wanted = definition or NetworkDefinition(name=network)
    client.create_network(
        network,
        driver=wanted.driver,
        options=wanted.driver_options or None,
        ipam=_ipam(wanted),
        internal=wanted.internal,
        attachable=wanted.attachable,
        enable_ipv6=wanted.enable_ipv6,
        labels={**wanted.labels, **told},
        check_duplicate=True,
    )


def _ipam(wanted: NetworkDefinition) -> Any:
    from docker.types import IPAMConfig, IPAMPool

    if not (wanted.ipam_config or wanted.ipam_driver or wanted.ipam_driver_options):
        return None
    pools = [
        IPAMPool(subnet=pool.subnet, iprange=pool.iprange, gateway=pool.gateway, aux_addresses=pool.aux_addresses)
        for pool in wanted.ipam_config
    ]
    return IPAMConfig(
        driver=wanted.ipam_driver or "default", pool_configs=pools, options=wanted.ipam_driver_options or None
    )


def existing(client: APIClient, group: str) -> set[str]:
    return {str(row["Name"]) for row in client.networks(filters={"label": [f"{labels.NETWORK}={group}"]})}


def partition(
    client: APIClient,
    platform: str,
    row: Mapping[str, Any],
    options: DockerOptions,
    places: tuple[Membership, ...],
    *,
    cut: bool,
) -> None:
    """Take the container off every network, or put it back where it belongs. Raises docker's errors, DriverFailed."""
    if options.network_mode not in (None, "bridge"):
        raise DriverFailed(
            f"{platform}: it has no network of its own that could be cut: `network_mode: {options.network_mode}`",
            hint="leave out `network_mode`, or use `bridge`",
        )
    joined = set(row["NetworkSettings"]["Networks"] or {})
    if cut:
        for name in joined:
            client.disconnect_container_from_network(row["Id"], name, force=True)
        return
    for place in places or (Membership("bridge"),):
        if place.network not in joined:
            client.connect_container_to_network(row["Id"], place.network, **place.arguments())


def remove(client: APIClient, group: str) -> bool:
    """All of the group, when no container needs it; whether that is so."""
    from docker.errors import APIError, NotFound

    wanted = {"label": [f"{labels.NETWORK}={group}"]}
    if not group or client.containers(all=True, quiet=True, filters=wanted):
        return False
    gone = True
    for row in client.networks(filters=wanted):
        if row.get("Labels", {}).get(labels.PREFIX + "name") != row["Name"]:
            gone = False
            continue
        try:
            client.remove_network(row["Id"])
        except NotFound:
            pass
        except APIError as error:
            if error.status_code not in (403, 409):  # a stranger's container has joined it
                raise
            gone = False
    return gone
