"""Connections run commands and move files; they know nothing of lifecycles."""
