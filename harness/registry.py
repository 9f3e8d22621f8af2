"""Drivers, compilers and verifiers by name, from entry points: nothing is imported before it is asked for."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.compile.base import Compiler
    from harness.drivers.base import Driver
    from harness.models.scenario import CompilerChoice

DRIVERS = "harness.drivers"
COMPILERS = "harness.compilers"


def names(group: str) -> list[str]:
    """Those that a user may choose: the fake driver, which proves nothing, is told of only where it is allowed."""
    found = set(points(group).names)
    return sorted(found if os.environ.get("HARNESS_FAKE") == "1" else found - {"fake"})


def driver(name: str) -> Driver:
    """Raises UsageError for an unknown name, HarnessError when what it stands on is not installed."""
    return cast("Driver", _load(DRIVERS, "driver", name)())


def compiler_class(name: str) -> type[Compiler]:
    """Raises UsageError for an unknown name, HarnessError when what it stands on is not installed."""
    return cast("type[Compiler]", _load(COMPILERS, "compiler", name))


def compiler(choice: CompilerChoice | str) -> Compiler:
    """As a scenario has it; by its mere name, as it is without options. Raises as `compiler_class` does."""
    if isinstance(choice, str):
        return compiler_class(choice).configured(None, Path())
    return compiler_class(choice.name).configured(choice.options, choice.folder)


@cache
def points(group: str) -> EntryPoints:
    """Of all that is installed: a file for each package is read for them."""
    return entry_points(group=group)


def _load(group: str, kind: str, name: str) -> type:
    found = points(group).select(name=name)
    if not found:
        from harness.models.problems import nearest  # pydantic, which is not wanted for a name that is right

        near = nearest(name, names(group))
        hint = f"did you mean {near}?" if near else f"known here: {', '.join(names(group))}"
        raise UsageError(f"there is no {kind} named {name!r}", hint=hint)
    point: EntryPoint = next(iter(found))
    try:
        return cast("type", point.load())
    except ImportError as error:
        missing = error.name or str(error)
        raise HarnessError(
            f"the {kind} {name!r} needs the Python package {missing!r}",
            hint=f"pip install 'harness-e2e[{name}]'",
        ) from error
