"""What Ansible finds around a project: its own role or collection by name, what was installed for it, and Molecule's
variables. (Molecule leaves the first to ansible-compat, which links and installs into the user's home.)
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.ansible.job import AnsibleFailed
from harness.models.scenario import AnsibleSettings, Scenario

_META = ("meta/main.yml", "meta/main.yaml")
_GALAXY = "galaxy.yml"
_FULL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]+\.[a-z][a-z0-9_]+")
"""galaxy.ansible.com's rule for NAMESPACE.ROLE."""
_ROLES = ("~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles")
_COLLECTIONS = ("~/.ansible/collections", "/usr/share/ansible/collections")
"""Ansible's own defaults."""


@dataclass(frozen=True)
class Shelf:
    """Where what a project's scenarios need is installed: in its state folder, so that nothing else sees it."""

    root: Path

    @classmethod
    def of(cls, scenario: Scenario) -> Shelf:
        return cls(scenario.ref.project / ".harness" / "ansible")

    @property
    def roles(self) -> Path:
        return self.root / "roles"

    @property
    def collections(self) -> Path:
        return self.root / "collections"


def environment_of(scenario: Scenario) -> dict[str, str]:
    """What a playbook of the scenario sees beside this process's environment: Molecule's variables, the places of
    roles, collections and modules, and `provisioner.env`, whose paths come first."""
    own = dict(scenario.provisioner.env)
    found = paths(scenario)
    for name, value in found.items():
        if own.get(name):
            own[name] = _joined([*own[name].split(":"), *value.split(":")])
    return {**_users_own(), **found, **_molecule(scenario), **own}


def paths(scenario: Scenario) -> dict[str, str]:
    """ANSIBLE_ROLES_PATH and the like: what was installed for the project, its own folders, the user's, the rest."""
    shelf, project = Shelf.of(scenario), scenario.ref.project
    ephemeral = _settings(scenario).ephemeral
    roles = [shelf.roles, project / "roles", ephemeral / "roles", project / ".ansible" / "roles"]
    collections = [shelf.collections, project / ".ansible" / "collections"]
    modules = project / "plugins" / "modules"
    found: dict[str, list[str | Path]] = {
        # The project's folder itself is a role to playbooks that name it by its folder, as Molecule up to 5 had it.
        "ANSIBLE_ROLES_PATH": [*roles, *_given("ANSIBLE_ROLES_PATH", _ROLES), project.parent],
        "ANSIBLE_COLLECTIONS_PATH": [
            *collections,
            *_given("ANSIBLE_COLLECTIONS_PATH", _COLLECTIONS),
            *(path for path in sys.path if (Path(path or ".") / "ansible_collections").is_dir()),
        ],
    }
    if modules.is_dir() and not (project / _GALAXY).exists():
        found["ANSIBLE_LIBRARY"] = [modules, *_given("ANSIBLE_LIBRARY", ())]
    return {name: _joined(str(value) for value in values) for name, values in found.items()}


def _molecule(scenario: Scenario) -> Mapping[str, str]:
    return _settings(scenario).environment


def _settings(scenario: Scenario) -> AnsibleSettings:
    return scenario.provisioner.ansible or AnsibleSettings()


def _users_own() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("ANSIBLE_")}


def _given(name: str, default: tuple[str, ...]) -> Iterable[str]:
    return [part for part in os.environ.get(name, "").split(":") if part] or default


def _joined(parts: Iterable[str]) -> str:
    return ":".join(dict.fromkeys(part for part in parts if part))


# --- the project's own role or collection --------------------------------------------------------------------------


def make_known(scenario: Scenario) -> list[str]:
    """Let Ansible find the project's own role as NAMESPACE.NAME, or its collection: by a link, so that it is never an
    old one. Returns what deserves a word. Raises AnsibleFailed for a name that Galaxy would refuse, where
    `role_name_check` is 0."""
    project, shelf = scenario.ref.project, Shelf.of(scenario)
    collection = next((folder for folder in _collection_folders(project) if (folder / _GALAXY).is_file()), None)
    if collection is not None:
        galaxy = _read(collection / _GALAXY)
        names = [galaxy.get("namespace"), galaxy.get("name")]
        if not all(isinstance(name, str) and re.fullmatch(r"\w+", name) for name in names):
            raise AnsibleFailed(
                f"{collection / _GALAXY} names no collection",
                hint="it needs `namespace:` and `name:`, as one word each",
            )
        _link(shelf.collections / "ansible_collections" / str(names[0]) / str(names[1]), collection)
        return []
    meta = next((project / name for name in _META if (project / name).is_file()), None)
    if meta is None:
        return []
    name, words = _role_name(_read(meta).get("galaxy_info"), project, _settings(scenario).role_name_check)
    _link(shelf.roles / name, project)
    return words


def _collection_folders(project: Path) -> list[Path]:
    """A role of a collection is tested in its own folder, `roles/NAME`, too."""
    return [project, *([project.parent.parent] if project.parent.name == "roles" else [])]


def _role_name(info: Any, project: Path, check: int) -> tuple[str, list[str]]:
    """As ansible-compat makes it out: `namespace` or a one-word `author`, and `role_name` or the folder's name."""
    info = info if isinstance(info, Mapping) else {}
    space = info.get("namespace") or info.get("author") or ""
    space = space if isinstance(space, str) and not re.match(r"\w+ \w+", space) else ""
    name = info.get("role_name") or re.sub(r"ansible-(role-)?", "", project.name).split(".", 2)[-1]
    full = f"{space}.{name}" if space else str(name)
    if "/" in full or full.startswith("."):
        raise AnsibleFailed(
            f"{project}: its meta/main.yml makes {full!r} its name, which is none",
            hint="galaxy_info: {namespace: acme, role_name: web} makes it acme.web",
        )
    if check == 2:
        return (full if "role_name" in info else project.name), []
    if _FULL_NAME.fullmatch(full):
        return full, []
    words = f"Galaxy would refuse the role's name {full!r}: meta/main.yml should give `namespace` and `role_name`"
    if check == 0:
        raise AnsibleFailed(words, hint="or set `role_name_check: 1` (warn) or 2 (do not look) in molecule.yml")
    return full, [words]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AnsibleFailed(f"{path} cannot be read: {error}") from error
    return document if isinstance(document, dict) else {}


def _link(path: Path, target: Path) -> None:
    """Two scenarios of a project may do it at once."""
    try:
        if path.is_symlink() and path.readlink() == target:
            return
        if path.exists() and not path.is_symlink():
            return  # installed by a requirements file under the same name: that was asked for
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(target, target_is_directory=True)
        fresh.replace(path)
    except OSError as error:
        raise AnsibleFailed(f"cannot make the project's own role known: {path}: {error.strerror or error}") from error
