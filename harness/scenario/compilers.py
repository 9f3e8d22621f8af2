"""A scenario's choice of a compiler, with that compiler's own options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from harness import registry
from harness.errors import HarnessError, Problem
from harness.models.problems import Keys, problems_of, shown
from harness.models.scenario import CompilerChoice
from harness.models.serde import StrictModel
from harness.scenario.file import CompilerSection


class CompilerReader:
    """Finds all problems; `where` places them. Relative paths in options are meant from `folder`."""

    def __init__(self, folder: Path, where: Callable[[Keys], str]) -> None:
        self.folder = folder
        self.where = where
        self.problems: list[Problem] = []

    def read(self, section: CompilerSection, at: Keys) -> CompilerChoice:
        known = registry.names(registry.COMPILERS)
        if section.name not in known:
            words = f"there is no compiler {shown(section.name)}; known here: {', '.join(known)}"
            self.problems.append(Problem(self.where(at), words))
            return CompilerChoice(section.name)
        return CompilerChoice(section.name, self._options(section, at), self.folder)

    def _options(self, section: CompilerSection, at: Keys) -> StrictModel | None:
        given = dict(section.model_extra or {})
        try:
            model = registry.compiler_class(section.name).compiler_options
        except HarnessError:  # not installed: that is no fault of the scenario, and whoever runs it is told
            return None
        try:
            return model.model_validate(given)
        except ValidationError as error:
            self.problems += problems_of(error, given, model=model, where=lambda keys: self.where((*at, *keys)))
            return None
