"""Clocks, thresholds, history."""
