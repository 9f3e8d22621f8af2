"""A network of a run's own: libvirt's, with addresses and names for the platforms that are on it."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from harness.drivers.libvirt import labels
from harness.drivers.libvirt.domain import element, metadata
from harness.drivers.libvirt.hypervisor import Hypervisor, explained, is_missing
from harness.drivers.libvirt.labels import Label
from harness.errors import DriverFailed

_TRIES = 20
_POOL = ipaddress.ip_network("10.192.0.0/11")
"""Each run's network takes 256 addresses of these."""


@dataclass(frozen=True)
class Place:
    """A platform's own on the network."""

    name: str
    mac: str
    address: str


@dataclass(frozen=True)
class Network:
    """A bridge with NAT behind this host; dnsmasq gives the addresses and knows the names."""

    name: str
    label: str
    subnet: ipaddress.IPv4Network
    places: tuple[Place, ...]

    @property
    def bridge(self) -> str:
        """At most 15 bytes (IFNAMSIZ)."""
        return f"hv-{hashlib.sha256(self.label.encode()).hexdigest()[:10]}"

    def xml(self) -> str:
        dhcp = (
            element("range", start=str(self.subnet[128]), end=str(self.subnet[250])),
            *(_dhcp(place) for place in self.places),
        )
        ip = element("ip", element("dhcp", *dhcp), address=str(self.subnet[1]), netmask=str(self.subnet.netmask))
        parts = (
            element("name", text=self.name),
            metadata(self.label),
            element("forward", mode="nat"),
            # A name of ours: those that libvirtd would choose are another daemon's, too, in the same name space.
            element("bridge", name=self.bridge, stp="off", delay="0"),
            element("dns", *(_dns(place) for place in self.places)),
            ip,
        )
        return ElementTree.tostring(element("network", *parts), encoding="unicode")


def _dhcp(place: Place) -> Element:
    return element("host", mac=place.mac, name=place.name, ip=place.address)


def _dns(place: Place) -> Element:
    return element("host", element("hostname", text=place.name), ip=place.address)


def join(host: Hypervisor, label: Label, members: Mapping[str, str]) -> None:
    """The network `label.id`, made if it is not there, with a place for each of `members` (names to MAC addresses).

    Raises DriverFailed.
    """
    if not host.privileged:
        raise DriverFailed(
            f"{label.platform}: `network: private` needs the system's libvirtd; {host.uri} is a user's own",
            hint="`uri: qemu:///system`, or `network: user`",
        )
    with explained(label.platform):
        network = find(host, label.id)
        if network is None:
            _make(host, label, members)
            return
        taken = places(network)
        subnet = ipaddress.ip_network(f"{_own_address(network)}/24", strict=False)
        assert isinstance(subnet, ipaddress.IPv4Network)
        for place in _assign(subnet, members, taken):
            _add(network, place)


def _make(host: Hypervisor, label: Label, members: Mapping[str, str]) -> None:
    """Another range each time that one is in use."""
    import libvirt

    for last in reversed(range(_TRIES)):
        subnet = _random_subnet()
        network = Network(label.id, label.model_dump_json(), subnet, tuple(_assign(subnet, members, ())))
        try:
            # Not defined: it goes with this machine's next start at the latest.
            host.connection.networkCreateXML(network.xml())
            return
        except libvirt.libvirtError as error:
            if last == 0 or "in use" not in str(error):
                raise


def _random_subnet() -> ipaddress.IPv4Network:
    first = int(_POOL.network_address) + 256 * secrets.randbelow(_POOL.num_addresses // 256)
    return ipaddress.IPv4Network((first, 24))


def _assign(subnet: ipaddress.IPv4Network, members: Mapping[str, str], taken: Sequence[Place]) -> list[Place]:
    used = {place.address for place in taken}
    free = (str(subnet[number]) for number in range(2, 128) if str(subnet[number]) not in used)
    known = {(place.name, place.mac) for place in taken}
    return [Place(name, mac, next(free)) for name, mac in members.items() if (name, mac) not in known]


def _add(network: Any, place: Place) -> None:
    import libvirt

    live = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
    add = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
    for section, part in (
        (libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, _dhcp(place)),
        (libvirt.VIR_NETWORK_SECTION_DNS_HOST, _dns(place)),
    ):
        network.update(add, section, 0, ElementTree.tostring(part, encoding="unicode"), live)


def find(host: Hypervisor, name: str) -> Any | None:
    """Raises libvirtError."""
    import libvirt

    try:
        return host.connection.networkLookupByName(name)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def places(network: Any) -> list[Place]:
    """Who is on it, by its definition."""
    hosts = ElementTree.fromstring(network.XMLDesc(0)).iterfind("ip/dhcp/host")
    return [Place(one.get("name", ""), one.get("mac", ""), one.get("ip", "")) for one in hosts]


def _own_address(network: Any) -> str:
    found = ElementTree.fromstring(network.XMLDesc(0)).find("ip")
    return found.get("address", "") if found is not None else ""


def remove(host: Hypervisor, name: str) -> bool:
    """True when it has gone; false while a domain is on it. A stranger's of that name is left alone."""
    import libvirt

    network = find(host, name)
    if network is None or labels.of(network) is None:
        return True
    if _is_used(host, name):
        return False
    try:
        network.destroy()
    except libvirt.libvirtError as error:
        if not is_missing(error):
            raise
    return True


def _is_used(host: Hypervisor, name: str) -> bool:
    found = (labels.of(domain) for domain in host.connection.listAllDomains())
    return any(label is not None and label.network == name for label in found)
