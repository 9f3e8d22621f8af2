"""Finding the project and its scenarios: `molecule/*/molecule.yml`, as Molecule has them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from harness.errors import UsageError
from harness.models.problems import nearest, shown
from harness.scenario.source import is_file, is_folder, is_unreadable

FILE = "molecule.yml"
DEFAULT = "default"
GLOB = "MOLECULE_GLOB"
"""The environment variable that holds a pattern of molecule.yml files; it takes the place of FOLDERS."""
COLLECTION = "extensions/molecule"
"""Where Molecule looks in an Ansible collection, at any depth: `extensions/molecule/vlans/merged` is `vlans/merged`."""
FOLDERS = ("molecule", COLLECTION)
"""Where scenarios lie; the first that is there holds them all."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A scenario's name: a folder, and part of labels and host names in the systems that hold its instances."""


def find_project(start: Path) -> Path:
    """The nearest folder from `start` upwards that holds `molecule/` or `extensions/molecule/`.

    Absolute. Raises UsageError when there is none.
    """
    here = start.absolute()
    if os.environ.get(GLOB):
        return here  # as Molecule: the pattern begins in the current folder
    for folder in (here, *here.parents):
        if _scenario_folder(folder) is not None:
            return folder
    raise UsageError(
        f"no folder {FOLDERS[0]}/ with scenarios in {here} or above it",
        hint="harness init scenario default makes the first one here",
    )


def list_scenarios(project: Path) -> list[str]:
    """The names of all scenarios, sorted. A folder that is hidden or holds no molecule.yml is none."""
    return sorted(_folders(project))


def scenario_directory(project: Path, name: str) -> Path:
    """Absolute folder of a scenario. Raises UsageError when there is none of that name."""
    found = _folders(project)
    if name in found:
        return found[name].absolute()
    raise UsageError(f"there is no scenario {shown(name)} in {project}", hint=_known(name, sorted(found)))


def _folders(project: Path) -> dict[str, Path]:
    """By name."""
    pattern = os.environ.get(GLOB)
    if pattern:
        return _matching(project, pattern)
    root = _scenario_folder(project)
    if root is None:
        return {}
    deep = root == project / COLLECTION
    try:
        return {folder.relative_to(root).as_posix(): folder for folder in _below(root, deep) if _holds_one(folder)}
    except OSError as error:
        raise UsageError(f"{root}: {error.strerror or error}") from error


def _below(root: Path, deep: bool) -> Iterator[Path]:
    """Folders that are not hidden; what a link leads to is not searched further, so that none goes round in circles."""
    for folder in root.iterdir():
        if folder.name.startswith(".") or not is_folder(folder):
            continue
        yield folder
        if deep and not folder.is_symlink():
            yield from _below(folder, deep)


def _holds_one(folder: Path) -> bool:
    """Whether there is a scenario; one that cannot be looked at is told of when it is read."""
    return is_file(folder / FILE) or is_unreadable(folder)


def _matching(project: Path, pattern: str) -> dict[str, Path]:
    """The folders of the files that MOLECULE_GLOB means."""
    found: dict[str, Path] = {}
    for path in sorted(glob.glob(str(project / pattern), recursive=True)):  # noqa: PTH207 (absolute ones, too)
        folder = Path(path).parent
        name = folder.as_posix().rpartition(f"/{COLLECTION}/")[2] if COLLECTION in folder.as_posix() else folder.name
        other = found.setdefault(name, folder)
        if other != folder:
            raise UsageError(
                f"{GLOB}={pattern}: {other} and {folder} are both the scenario {name}",
                hint="narrow the pattern: a scenario's name is that of its folder",
            )
    return found


def select_scenarios(
    project: Path, patterns: Sequence[str] = (), *, everything: bool = False, exclude: Sequence[str] = ()
) -> list[str]:
    """The scenarios that names and globs mean: all with `everything`, else `default` where nothing is named.

    In the order they are named, each once. Raises UsageError for a name or glob that matches none, and when nothing
    is left.
    """
    known = list_scenarios(project)
    wanted: Sequence[str] = ["*"] if everything else list(patterns) or [DEFAULT]
    chosen: dict[str, None] = {}
    for pattern in wanted:
        found = [name for name in known if fnmatchcase(name, pattern)]
        if not found:
            raise UsageError(f"no scenario matches {shown(pattern)} in {project}", hint=_known(pattern, known))
        chosen.update(dict.fromkeys(found))
    for pattern in exclude:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UsageError(f"no scenario matches {shown(pattern)}, which is excluded", hint=_known(pattern, known))
    left = [name for name in chosen if not any(fnmatchcase(name, pattern) for pattern in exclude)]
    if not left:
        raise UsageError("every scenario that was asked for is excluded")
    return left


def _scenario_folder(project: Path) -> Path | None:
    return next((project / folder for folder in FOLDERS if is_folder(project / folder)), None)


def _known(name: str, known: list[str]) -> str:
    if not known:
        return "harness init scenario NAME makes one"
    near = nearest(name, known)
    return f"did you mean {near}?" if near else f"known here: {', '.join(known)}"
