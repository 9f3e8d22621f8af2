"""SSH to a guest: by QEMU's own network through a port of this machine's loopback, else at the guest's address."""

from __future__ import annotations

import re
from typing import Any

from harness.deadline import Deadline
from harness.drivers import sshd
from harness.drivers.base import Instance
from harness.drivers.libvirt import labels, machine, networks
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.labels import Label
from harness.drivers.libvirt.options import LibvirtOptions
from harness.errors import DriverFailed
from harness.models.endpoint import Endpoint, Ssh

_LOOPBACK = "127.0.0.1"
_GUEST_SSH = 22
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+(?P<host>[0-9.]+)\s+(?P<port>\d+)\s+\S+\s+(?P<inner>\d+)")


def keys_of(identifier: str) -> sshd.Keys:
    return sshd.Keys.at(labels.folder_of(identifier) / "ssh")


def through_sshd(
    host: Hypervisor, domain: Any, instance: Instance, label: Label, inner: Endpoint, deadline: Deadline
) -> Ssh:
    """An sshd of ours runs in it from now on, beside the guest's own. Raises DriverFailed, NotReady."""
    options = machine.options_of(instance.spec)
    address, port = way(host, domain, instance, label, options, options.ssh.port)
    return sshd.offer(
        inner,
        instance.name,
        options.ssh,
        keys_of(label.id),
        sshd.Way(address, port, ("0.0.0.0",)),
        systemd=True,
        deadline=deadline,
    )


def own_sshd(host: Hypervisor, domain: Any, instance: Instance, label: Label) -> Ssh:
    """The guest's own sshd, for which the seed has brought the keys."""
    assert label.image is not None
    options, keys = machine.options_of(instance.spec), keys_of(label.id)
    address, port = way(host, domain, instance, label, options, _GUEST_SSH)
    keys.trust(address, port)
    return Ssh(
        host=address,
        port=port,
        user=label.image.user,
        identities=(str(keys.identity),),
        known_hosts=str(keys.known_hosts),
        environment=options.environment,
    )


def way(
    host: Hypervisor, domain: Any, instance: Instance, label: Label, options: LibvirtOptions, port: int
) -> tuple[str, int]:
    """The address and port at which the guest's port is reached from here. Raises DriverFailed, libvirtError."""
    if options.network == "user":
        return _LOOPBACK, forward(domain, port)
    if options.network == "none":
        raise DriverFailed(
            f"{instance.name}: there is no way to its sshd: it has `network: none`", hint="`network: user` has one"
        )
    if options.network == "private":
        network = networks.find(host, label.network)
        known = {place.mac: place.address for place in networks.places(network)} if network is not None else {}
        address = known.get(machine.mac_address(label.id))
    else:
        address = _leased(domain)
    if address is None:
        raise DriverFailed(
            f"{instance.name}: its address on {options.network} is not known",
            hint="its network must give addresses by DHCP of libvirt's; `network: user` needs none",
        )
    return address, port


def forward(domain: Any, port: int) -> int:
    """A port of this machine's loopback that leads to the guest's; the kernel chooses it. Raises libvirtError."""
    known = _forwarded(domain, port)
    if known is None:
        said = _monitor(domain, f"hostfwd_add tcp:{_LOOPBACK}:0-:{port}")
        known = _forwarded(domain, port)
        if known is None:
            raise DriverFailed(f"QEMU forwards no port: {said.strip()}")
    return known


def _forwarded(domain: Any, port: int) -> int | None:
    for found in _FORWARD.finditer(_monitor(domain, "info usernet")):
        if int(found["inner"]) == port and found["host"] == _LOOPBACK:
            return int(found["port"])
    return None


def _monitor(domain: Any, command: str) -> str:
    import libvirt_qemu

    human = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
    return str(libvirt_qemu.qemuMonitorCommand(domain, command, human))


def _leased(domain: Any) -> str | None:
    import libvirt

    found = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
    for interface in found.values():
        for address in interface["addrs"] or ():
            if address["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4:
                return str(address["addr"])
    return None
