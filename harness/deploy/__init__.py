"""Decide how each host gets its plan, and do it."""
