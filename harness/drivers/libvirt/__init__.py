"""The libvirt driver: virtual machines."""

from harness.drivers.libvirt.driver import LibvirtDriver

__all__ = ["LibvirtDriver"]
