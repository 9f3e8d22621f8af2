"""What of ours exists in libvirt and on this machine's disk, and its removal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.drivers.base import InstanceRecord, NotAllListed
from harness.drivers.libvirt import hypervisor, labels, networks, readiness, shelf
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.drivers.libvirt.labels import Label
from harness.errors import DriverFailed

_GONE_SECONDS = 60.0


@contextmanager
def reached(uri: str) -> Iterator[Hypervisor]:
    """Raises DriverFailed."""
    host = hypervisor.connect(uri)
    try:
        with hypervisor.explained(""):
            yield host
    finally:
        host.close()


def instances() -> list[InstanceRecord]:
    """Raises NotAllListed when a daemon cannot be asked on which this user has had platforms."""
    by_id: dict[str, InstanceRecord] = {}  # two URIs may lead to one daemon
    silent: list[DriverFailed] = []
    for uri in hypervisor.known():
        if not hypervisor.is_remembered(uri):
            continue  # nothing of ours was ever there; to ask would start a daemon of the user's own
        try:
            with reached(uri) as host:
                by_id |= {record.id: record for record in _instances(host)}
        except DriverFailed as error:
            silent.append(error)
    found = list(by_id.values())
    if not silent:
        found += _dead(set(by_id))
    found.sort(key=lambda record: record.created)
    if silent:
        raise NotAllListed("; ".join(error.message for error in silent), found=found, hint=silent[0].hint)
    return found


def _instances(host: Hypervisor) -> list[InstanceRecord]:
    """Domains, and networks that none of them needs."""
    found = []
    for domain in host.connection.listAllDomains():
        label = labels.of(domain)
        if label is not None:
            with _while_it_lives():
                found.append(labels.record(label, readiness.status(domain)))
    needed = {record.detail["network"] for record in found}
    for network in host.connection.listAllNetworks():
        label = labels.of(network)
        if label is not None and label.id not in needed:
            found.append(labels.record(label, "unused"))
    return found


@contextmanager
def _while_it_lives() -> Iterator[None]:
    import libvirt

    try:
        yield
    except libvirt.libvirtError as error:
        if not hypervisor.is_missing(error):
            raise


def _dead(living: set[str]) -> list[InstanceRecord]:
    """Folders whose domain was never made, or has gone."""
    return [labels.record(label, "dead") for label in labels.living() if label.id not in living]


def reap(record: InstanceRecord) -> None:
    uri = record.detail.get("uri") or hypervisor.default_uri()
    with reached(uri) as host:
        remove(host, record.id, record.detail.get("network") or record.id)


def remove(host: Hypervisor, identifier: str, network: str) -> None:
    """The domain with all its files, and its network when nobody else needs it; a second call does nothing."""
    remove_domain(host, identifier)
    if network:
        networks.remove(host, network)


def remove_domain(host: Hypervisor, identifier: str) -> None:
    """Raises DriverFailed, libvirtError."""
    found = readiness.find(host, identifier)
    if found is not None:
        _end(found[0], found[1])
    remove_files(identifier)


def _end(domain: Any, label: Label) -> None:
    """What is being made or saved just now is waited for."""
    import libvirt

    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    until = time.monotonic() + _GONE_SECONDS
    while True:
        try:
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(flags)
            return
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return
            if time.monotonic() > until:
                raise DriverFailed(f"{label.platform}: its domain {label.id} does not end: {error}") from error
            time.sleep(0.1)  # "Timed out during operation: cannot acquire state change lock"


def remove_files(identifier: str) -> None:
    """The folder goes last: as long as it is there, its label tells what may be left."""
    if identifier and "/" not in identifier and identifier not in (".", ".."):
        shutil.rmtree(labels.sockets_of(identifier), ignore_errors=True)
        folder = labels.folder_of(identifier)
        label = labels.of_folder(folder)
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.name != "label.json":
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        if label is not None:
            shelf.sweep_of(label.bases)
