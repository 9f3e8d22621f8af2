"""A scenario's ephemeral folder, laid out as Molecule does, so that playbooks, tests and other tools find in it what
they know: `molecule.yml` with all defaults, `inventory/`, `ansible.cfg` (written by the run itself)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue

from harness.ansible.inventory import Variables, write_private
from harness.errors import HarnessError
from harness.models.naming import flat_name
from harness.models.scenario import AnsibleSettings, Scenario

CONFIG: Mapping[str, Mapping[str, JsonValue]] = {
    "defaults": {
        "display_failed_stderr": True,
        "forks": 50,
        "retry_files_enabled": False,
        "host_key_checking": False,
        "nocows": 1,
        "interpreter_python": "auto_silent",
    },
    "ssh_connection": {"control_path": "%(directory)s/%%h-%%p-%%r"},
}
"""Molecule's DEFAULT_ANSIBLE_CFG_OPTIONS."""

OURS = ("ansible_connection", "ansible_host", "ansible_port")
"""How a platform is reached that one of our drivers made: not for the scenario to say."""

_VARIABLES: Variables = {
    "molecule_file": "{{ lookup('env', 'MOLECULE_FILE') }}",
    "molecule_ephemeral_directory": "{{ lookup('env', 'MOLECULE_EPHEMERAL_DIRECTORY') }}",
    "molecule_scenario_directory": "{{ lookup('env', 'MOLECULE_SCENARIO_DIRECTORY') }}",
    "molecule_yml": "{{ lookup('file', molecule_file) | from_yaml }}",
    "molecule_instance_config": "{{ lookup('env', 'MOLECULE_INSTANCE_CONFIG') }}",
    "molecule_no_log": "{{ lookup('env', 'MOLECULE_NO_LOG') or not "
    "molecule_yml.provisioner.log | default(false) | bool }}",
}


def settings_of(scenario: Scenario) -> AnsibleSettings:
    return scenario.provisioner.ansible or AnsibleSettings()


def with_ephemeral(scenario: Scenario, folder: Path) -> Scenario:
    """The scenario with an ephemeral folder below `folder`, for a run whose platforms are its own. Those of the driver
    `default` are not: what create.yml makes has one name, whoever runs it."""
    settings = scenario.provisioner.ansible
    if settings is None or scenario.driver == "default":
        return scenario
    old, new = str(settings.ephemeral), folder / "ephemeral"
    environment = {
        name: str(new) + value.removeprefix(old) if value == old or value.startswith(f"{old}/") else value
        for name, value in settings.environment.items()
    }
    provisioner = replace(scenario.provisioner, ansible=replace(settings, ephemeral=new, environment=environment))
    return replace(scenario, provisioner=provisioner)


def created_mark(scenario: Scenario) -> Path:
    """There once create.yml has run, where molecule.yml names no platform: the inventory is its own then, and
    nothing else tells."""
    return settings_of(scenario).ephemeral / ".created"


def prepared_mark(scenario: Scenario) -> Path:
    """There once prepare.yml has run, where molecule.yml names no platform. The folder may be one for all scenarios."""
    return settings_of(scenario).ephemeral / f".prepared-{flat_name(scenario.name)}"


def inventory_folder(scenario: Scenario) -> Path:
    return settings_of(scenario).ephemeral / "inventory"


def config_of(scenario: Scenario) -> dict[str, dict[str, JsonValue]]:
    """Sections of ansible.cfg: Molecule's defaults under the scenario's own."""
    own = settings_of(scenario).config_options
    return {name: {**CONFIG.get(name, {}), **own.get(name, {})} for name in (*CONFIG, *own)}


def write_ephemeral(scenario: Scenario, reached: Mapping[str, Variables]) -> list[str]:
    """`reached`: the platforms of this run, and what tells Ansible how to reach each. What a playbook has put into the
    inventory's folder stays. Returns what deserves a word. Raises HarnessError where it cannot be written."""
    settings = settings_of(scenario)
    folder = inventory_folder(scenario)
    notes: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings.ephemeral.chmod(0o700)
        _write(settings.ephemeral / "molecule.yml", settings.document)
        _write(folder / "ansible_inventory.yml", tree(scenario, reached))
        for name in ("hosts", "host_vars", "group_vars"):
            _remove(folder / name)
        if settings.links:
            for name, target in settings.links.items():
                _remove(folder / name)
                (folder / name).symlink_to(target)
        else:
            notes = _write_variables(scenario, folder, reached)
    except OSError as error:
        raise HarnessError(
            f"{settings.ephemeral} cannot be written: {error.strerror or error}: {error.filename or ''}"
        ) from error
    return notes


def tree(scenario: Scenario, reached: Mapping[str, Variables]) -> dict[str, Any]:
    """The platforms as Molecule's ansible_inventory.yml has them."""
    settings = settings_of(scenario)
    found: dict[str, dict[str, Any]] = {
        "all": {"hosts": {}, "vars": dict(_VARIABLES)},
        "ungrouped": {"hosts": {}, "vars": {}},
    }
    for platform in scenario.platforms:
        if platform.name not in reached:
            continue
        variables = {**_wanted(settings, platform.driver), **reached[platform.name]}
        found["all"]["hosts"][platform.name] = variables
        for group in platform.groups or ("ungrouped",):
            section = found.setdefault(group, {"hosts": {}, "vars": dict(_VARIABLES)})
            section["hosts"][platform.name] = dict(variables)
    for parent, children in settings.children.items():
        if parent in found:
            found[parent]["children"] = {child: {} for child in children if child in found}
    return found


def _wanted(settings: AnsibleSettings, driver: str) -> Variables:
    """`provisioner.connection_options`, but for what a driver of ours knows better."""
    return {
        name: value for name, value in settings.connection_options.items() if driver == "default" or name not in OURS
    }


def _write_variables(scenario: Scenario, folder: Path, reached: Mapping[str, Variables]) -> list[str]:
    notes = []
    inventory = scenario.provisioner.inventory
    settings = settings_of(scenario)
    if settings.hosts:
        _write(folder / "hosts", settings.hosts)
    ours = {platform.name for platform in scenario.platforms if platform.driver != "default"}
    for name, sections in (("host_vars", inventory.hosts_vars), ("group_vars", inventory.group_vars)):
        for of, variables in sections.items():
            dropped = _dropped(of, variables, ours if name == "host_vars" else None, bool(ours))
            if dropped:
                notes.append(f"{name} of {of}: {', '.join(dropped)} left out: platforms are reached by the harness")
            (folder / name).mkdir(exist_ok=True)
            _write(folder / name / of, {key: value for key, value in variables.items() if key not in dropped})
    return notes


def _dropped(of: str, variables: Mapping[str, JsonValue], hosts: set[str] | None, ours: bool) -> Sequence[str]:
    applies = of in hosts if hosts is not None else ours
    return [key for key in OURS if key in variables] if applies else []


def _write(path: Path, tree: object) -> None:
    fresh = path.with_name(f".{path.name}.fresh")  # Ansible reads no hidden file of an inventory's folder
    write_private(fresh, tree)
    fresh.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()


def read_instance_config(path: Path) -> dict[str, dict[str, Any]]:
    """What create.yml wrote, by platform; empty where there is no such file. Raises HarnessError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"{path}, which create.yml writes, cannot be read: {error}") from error
    entries = document or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "instance" in entry for entry in entries):
        raise HarnessError(
            f"{path}, which create.yml writes, is no list of mappings with `instance`",
            hint="an entry has instance, address, user, port, identity_file; write the list by `to_nice_yaml`",
        )
    return {str(entry["instance"]): entry for entry in entries}
