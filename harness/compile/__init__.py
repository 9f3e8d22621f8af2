"""Compilers turn (plan, target) into a binary; everything compiled lies in a content-addressed store."""

from harness.compile.targets import host_target, target_for

__all__ = ["host_target", "target_for"]
