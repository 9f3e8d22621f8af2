"""What may happen between here and the platform's sshd; the proxy in front of it does it."""

from __future__ import annotations

from harness.faults.target import Target, Undo
from harness.models.fault import Fault


def cut(target: Target, fault: Fault) -> Undo:
    """A reset, as from a router that forgets; new connections are let through."""
    assert target.front is not None
    target.front.cut()
    return lambda: None


def drop(target: Target, fault: Fault) -> Undo:
    """Nothing passes: nobody is told anything, as behind a firewall that drops."""
    front = target.front
    assert front is not None
    front.block(True)
    return lambda: front.block(False)
