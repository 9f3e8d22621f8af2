"""The files that make up one scenario, each interpolated and read, laid on one another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.drivers.base import ScenarioRef
from harness.errors import InvalidInput, Problem
from harness.models.naming import flat_name
from harness.models.problems import shown
from harness.scenario.interpolation import interpolate
from harness.scenario.nodes import Node, merge
from harness.scenario.project import COLLECTION, FILE
from harness.scenario.source import display, is_file, is_folder, read_text
from harness.scenario.yaml_reader import read_yaml

BASE_CONFIG = Path(".config/molecule/config.yml")
SHARED = ".shared"
"""The ephemeral folder of all scenarios with `shared_state`; no scenario's name begins with a dot."""
COLLECTION_CONFIG = Path(COLLECTION) / "config.yml"
ENV_FILE = ".env.yml"


@dataclass(frozen=True)
class Overrides:
    """What the command line says of a scenario: `-d`, `-c` (repeatable) and `--env-file`."""

    driver: str | None = None
    base_configs: tuple[Path, ...] = ()
    env_file: Path | None = None


@dataclass(frozen=True)
class Layers:
    """The merged document, what is wrong so far, and what only deserves a word."""

    root: Node
    problems: list[Problem]
    warnings: list[Problem]
    unset: frozenset[str]
    """Variables that were used and are not set."""
    molecule: Mapping[str, str] = field(default_factory=dict)
    """Molecule's own variables (MOLECULE_*) of this scenario."""


def read_layers(ref: ScenarioRef, overrides: Overrides) -> Layers:
    """Base configurations first, molecule.yml last. Raises InvalidInput where a file can't be read at all."""
    project, directory = ref.project, ref.directory
    env_file = overrides.env_file or (project / ENV_FILE if is_file(project / ENV_FILE) else None)
    own = _molecule_variables(ref, env_file)
    theirs = {**os.environ, **(_read_env_file(env_file) if env_file else {})}
    files = [*_base_configs(project, overrides), directory / FILE]
    environment = {**own, **theirs}
    layers = _combined(files, environment)
    if layers.root.find(("shared_state",)).value is True:
        own = _molecule_variables(ref, env_file, ephemeral=SHARED)
        environment = {**own, **theirs}
        layers = _combined(files, environment)
    late = _late_variables(layers.root, directory)
    if layers.unset & late.keys():
        layers = _combined(files, late | environment)
    return replace(layers, molecule={**own, **late})


def _combined(files: Sequence[Path], variables: Mapping[str, str]) -> Layers:
    """All that is wrong in all of the files, also when one of them is no YAML."""
    root: Node | None = None
    problems: list[Problem] = []
    unset: dict[str, Problem] = {}
    broken: InvalidInput | None = None
    for file in files:
        try:
            node = _read(file, variables, problems, unset)
        except InvalidInput as error:
            problems += error.problems
            broken = error
            continue
        root = node if root is None else merge(root, node)
    if broken is not None or root is None:
        raise InvalidInput(display(files[-1]), problems) from broken
    return Layers(root, problems, list(unset.values()), frozenset(unset))


def _read(file: Path, variables: Mapping[str, str], problems: list[Problem], unset: dict[str, Problem]) -> Node:
    text = interpolate(read_text(file), variables)
    problems += [Problem(f"{display(file)}:{line}", words) for line, words in text.faults]
    for name, line in text.unset.items():
        hint = f"${{{name}:-default}} gives it a default, ${{{name}:?message}} makes it required"
        words = f"{name} is not set; nothing stands in its place"
        unset.setdefault(name, Problem(f"{display(file)}:{line}", words, hint))
    node, found = read_yaml(text.text, file, lines=text.lines, may_be_empty=True)
    problems += found
    return node


def _base_configs(project: Path, overrides: Overrides) -> list[Path]:
    """`-c`, else the first of the project's, the repository's, the collection's and the user's, as Molecule looks for
    it."""
    if overrides.base_configs:
        return [path.absolute() for path in overrides.base_configs]
    repository = next((folder for folder in (project, *project.parents) if is_folder(folder / ".git")), project)
    files = [project / BASE_CONFIG, repository / BASE_CONFIG, project / COLLECTION_CONFIG]
    with suppress(RuntimeError):  # no home folder is known
        files.append(Path.home() / BASE_CONFIG)
    return [file for file in files if is_file(file)][:1]


def _read_env_file(path: Path) -> dict[str, str]:
    """`NAME: value` in YAML, as Molecule's --env-file."""
    root, problems = read_yaml(read_text(path), path, may_be_empty=True)
    if not isinstance(root.value, Mapping):
        raise InvalidInput(
            display(path), [Problem(f"{display(path)}:{root.line}", "should be NAME: value, line by line")]
        )
    values = {}
    for name, node in root.value.items():
        value = node.plain()
        if isinstance(value, dict | list):
            problems.append(Problem(node.where(()), f"{name} should be text or a number, not {shown(value)}"))
        elif value is not None:
            values[name] = str(value).lower() if isinstance(value, bool) else str(value)
        else:
            values[name] = ""
    if problems:
        raise InvalidInput(display(path), problems)
    return values


def _molecule_variables(ref: ScenarioRef, env_file: Path | None, *, ephemeral: str | None = None) -> dict[str, str]:
    """Molecule's own (its config.Config.env), those that do not hang on the file's content."""
    folder = ref.project / ".harness" / "ephemeral" / (ephemeral or flat_name(ref.name))
    return {
        "MOLECULE_DEBUG": "False",
        "MOLECULE_FILE": str(ref.directory / FILE),
        "MOLECULE_ENV_FILE": str((env_file or ref.project / ENV_FILE).absolute()),
        "MOLECULE_STATE_FILE": str(folder / "state.yml"),
        "MOLECULE_INVENTORY_FILE": str(folder / "inventory" / "ansible_inventory.yml"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder),
        "MOLECULE_SCENARIO_DIRECTORY": str(ref.directory),
        "MOLECULE_PROJECT_DIRECTORY": str(ref.project),
        "MOLECULE_INSTANCE_CONFIG": str(folder / "instance_config.yml"),
        "MOLECULE_SCENARIO_NAME": ref.name,
    }


def _late_variables(root: Node, directory: Path) -> dict[str, str]:
    """Molecule's variables that repeat what the file itself says."""
    binary = _text_at(root, "provisioner", "name") == "binary"
    tests = _text_at(root, "verifier", "directory") or "tests"
    return {
        "MOLECULE_DEPENDENCY_NAME": _text_at(root, "dependency", "name") or "galaxy",
        "MOLECULE_DRIVER_NAME": _text_at(root, "driver", "name") or ("native" if binary else "default"),
        "MOLECULE_PROVISIONER_NAME": _text_at(root, "provisioner", "name") or "ansible",
        "MOLECULE_VERIFIER_NAME": _text_at(root, "verifier", "name") or ("testinfra" if binary else "ansible"),
        "MOLECULE_VERIFIER_TEST_DIRECTORY": str(directory / tests),
    }


def _text_at(root: Node, section: str, key: str) -> str | None:
    found = root.find((section, key))
    value = found.value
    return value if isinstance(value, str) and found is not root.find((section,)) else None
