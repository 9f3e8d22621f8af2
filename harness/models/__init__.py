"""Pydantic models that cross a border (files, processes, the runner). They carry no behaviour."""
