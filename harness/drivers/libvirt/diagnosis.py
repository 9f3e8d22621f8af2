"""Why there can be no virtual machine here, and what to do about it."""

from __future__ import annotations

import platform
import shutil

from harness.drivers.libvirt import hypervisor
from harness.drivers.libvirt.hypervisor import Hypervisor
from harness.errors import DriverFailed, Problem

_WHERE = "libvirt driver"
_PACKAGES = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}


def diagnose() -> list[Problem]:
    """Of the usual daemon and this machine; all that is missing at once."""
    found = []
    if shutil.which("qemu-img") is None:
        found.append(Problem(_WHERE, "there is no qemu-img", "apt-get install qemu-utils"))
    try:
        host = hypervisor.connect(hypervisor.default_uri())
    except DriverFailed as error:
        return [*found, Problem(_WHERE, error.message, error.hint)]
    try:
        emulator(host, "", platform.machine())
    except DriverFailed as error:
        found.append(Problem(_WHERE, error.message, error.hint))
    finally:
        host.close()
    return found


def emulator(host: Hypervisor, name: str, arch: str) -> str:
    """The QEMU that libvirt uses for guests of this architecture. Raises DriverFailed where it has none."""
    from xml.etree import ElementTree

    import libvirt

    start = f"{name}: " if name else ""
    try:
        said = host.connection.getDomainCapabilities(None, arch, None, "qemu")
    except libvirt.libvirtError as error:
        package = _PACKAGES.get(arch, f"the one with qemu-system-{arch}")
        raise DriverFailed(
            f"{start}libvirt at {host.uri} finds no QEMU for {arch}: {error}",
            hint=f"apt-get install {package} (the driver's own part is libvirt-daemon-driver-qemu); {hypervisor.SETUP}",
        ) from error
    return ElementTree.fromstring(said).findtext("path") or f"qemu-system-{arch}"
