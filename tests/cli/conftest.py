from __future__ import annotations

from tests.projects import _built_runner, _runner, fake_folder, project
from tests.tools import static_program, tool

__all__ = ["_built_runner", "_runner", "fake_folder", "project", "static_program", "tool"]
