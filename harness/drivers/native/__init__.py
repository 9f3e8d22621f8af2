"""The native driver: isolated views of this host, or of an unpacked root file system, without a daemon."""

from harness.drivers.native.driver import NativeDriver

__all__ = ["NativeDriver"]
