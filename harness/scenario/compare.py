"""What a scenario says of `harness compare`: the sides by name, and the differences that are no fault."""

from __future__ import annotations

from collections.abc import Callable

from harness import registry
from harness.errors import Problem
from harness.models.problems import Keys, shown, unknown
from harness.models.scenario import Allowance, CompareSettings, CompareSide
from harness.scenario.compilers import CompilerReader
from harness.scenario.file import STRATEGIES, AllowSection, CompareSection

_KINDS = {
    "task": "task",
    "path": "file",
    "package": "package",
    "service": "service",
    "process": "process",
    "port": "port",
    "user": "user",
    "group": "group",
}
"""The key of an allowance, and the kind of difference it speaks of."""


class CompareReader:
    """Finds all problems; `where` places them. What is wrong with a compiler's options `compilers` finds."""

    def __init__(self, where: Callable[[Keys], str], compilers: CompilerReader) -> None:
        self.where = where
        self.problems: list[Problem] = []
        self._compilers = compilers

    def read(self, section: CompareSection) -> CompareSettings:
        sides = {}
        for name, side in section.sides.items():
            at: Keys = ("compare", "sides", name)
            compiler = None if side.compiler is None else self._compilers.read(side.compiler, (*at, "compiler"))
            if compiler is None and side.strategy is None:
                self._problem(at, "a side is another compiler, another strategy, or both")
            sides[name] = CompareSide(compiler, side.strategy)
        known = [*sides, *registry.names(registry.COMPILERS), *STRATEGIES]
        allow = [self._allowance(one, index, known) for index, one in enumerate(section.allow)]
        return CompareSettings(sides, tuple(allow))

    def _allowance(self, section: AllowSection, index: int, known: list[str]) -> Allowance:
        at: Keys = ("compare", "allow", index)
        named = [key for key in _KINDS if getattr(section, key) is not None]
        if len(named) > 1:
            self._problem(at, f"{' and '.join(named)} exclude one another: each is an entry of its own")
        elif not named and section.field is None and section.host is None:
            self._problem(at, f"it would allow everything; say what of: {', '.join([*_KINDS, 'field', 'host'])}")
        if section.side is not None and section.side not in known:
            self._problem((*at, "side"), unknown(section.side, known, what=f"there is no side {shown(section.side)}"))
        kind = named[0] if named else None
        return Allowance(
            reason=section.reason.strip(),
            where=self.where(at),
            kind=_KINDS[kind] if kind else None,
            name=getattr(section, kind) if kind else None,
            field=section.field,
            host=section.host,
            side=section.side,
        )

    def _problem(self, at: Keys, words: str) -> None:
        self.problems.append(Problem(self.where(at), words))
