"""Drivers own the lifecycle of platforms; they never run a command in one."""
