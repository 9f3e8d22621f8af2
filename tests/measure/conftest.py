from __future__ import annotations

from tests.projects import _built_runner, _runner, fake_folder, project

__all__ = ["_built_runner", "_runner", "fake_folder", "project"]
