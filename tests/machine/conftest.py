"""Hosts to look at, as the tests of verify have them."""

from tests.verify.conftest import local, sandbox, sandboxes

__all__ = ["local", "sandbox", "sandboxes"]
