"""Containers of a Docker-compatible daemon."""

from harness.drivers.docker.driver import DockerDriver

__all__ = ["DockerDriver"]
