"""The ssh driver: machines that exist already, and that it never destroys."""

from harness.drivers.ssh.driver import SshDriver

__all__ = ["SshDriver"]
