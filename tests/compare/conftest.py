"""Projects on sandboxes, and a compiler whose binaries do something else than the plan says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from harness import registry
from harness.compile.base import Compiler, CompileSettings
from harness.compile.reference import ReferenceCompiler
from harness.models.results import CompilationResult
from harness.models.runner import Payload, PayloadTask
from tests.projects import _built_runner, _runner, fake_folder, project

__all__ = ["Bend", "_built_runner", "_runner", "crooked", "fake_folder", "project"]

Bend = Callable[[PayloadTask], PayloadTask | None]
"""What becomes of a task or handler; None: it is left out."""


class CrookedCompiler(ReferenceCompiler):
    name = "crooked"
    bend: ClassVar[Bend]

    def compile(self, payload: Payload, target: str, settings: CompileSettings) -> CompilationResult:
        def bent(tasks: list[PayloadTask]) -> list[PayloadTask]:
            return [new for task in tasks if (new := type(self).bend(task)) is not None]

        plays = [
            play.model_copy(update={"tasks": bent(play.tasks), "handlers": bent(play.handlers)})
            for play in payload.plays
        ]
        return super().compile(payload.model_copy(update={"plays": plays}), target, settings)


@pytest.fixture
def crooked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bend], None]:
    """Adds the compiler `crooked`, which bends each task so."""
    honest_class, honest_names = registry.compiler_class, registry.names

    def compiler_class(name: str) -> type[Compiler]:
        return CrookedCompiler if name == "crooked" else honest_class(name)

    def names(group: str) -> list[str]:
        return [*honest_names(group), *(["crooked"] if group == registry.COMPILERS else [])]

    def use(bend: Bend) -> None:
        monkeypatch.setattr(CrookedCompiler, "bend", staticmethod(bend), raising=False)
        monkeypatch.setattr(registry, "compiler_class", compiler_class)
        monkeypatch.setattr(registry, "names", names)

    return use


def with_args(task: PayloadTask, **args: Any) -> PayloadTask:
    return task.model_copy(update={"args": {**task.args, **args}})
