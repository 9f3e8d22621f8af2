"""End-to-end tests for tools that compile an execution plan into a binary and deploy it."""

__version__ = "0.1.0"
