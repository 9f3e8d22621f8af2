"""The vagrant driver: virtual machines of any provider that Vagrant knows."""

from harness.drivers.vagrant.driver import VagrantDriver

__all__ = ["VagrantDriver"]
