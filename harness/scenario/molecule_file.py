"""molecule.yml as Molecule has it (its data/molecule.json and constants.py), for `provisioner: ansible` or none.

Where Molecule lets further keys pass, they pass here, too; who reads them tells of those that mean nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, field_validator

from harness.scenario.file import CommonFile, Environment, OpenSection, Section, Variables, VerifierSection
from harness.scenario.values import Text

STEPS = ("cleanup", "create", "converge", "destroy", "prepare", "side_effect", "verify")
"""Those that a playbook does."""


def _none_is_empty(value: object) -> object:
    """`env:` with nothing behind it, as cookiecutter templates leave it."""
    return {} if value is None else value


def _words(value: object) -> object:
    """YAML reads `--forks, 5` as a text and a number; a command line has words only."""
    if isinstance(value, list):
        return [str(word) if isinstance(word, int | float) and not isinstance(word, bool) else word for word in value]
    return value


def _as_python_says(value: object) -> object:
    """Molecule hands each value to `str`: `true` becomes True, and `${UNSET}` without quotes None."""
    if not isinstance(value, dict):
        return _none_is_empty(value)
    return {name: str(word) if word is None or isinstance(word, bool) else word for name, word in value.items()}


Arguments = Annotated[list[str], BeforeValidator(_words, json_schema_input_type=list[str | float])]
Options = Annotated[dict[str, JsonValue], BeforeValidator(_none_is_empty)]
Config = Annotated[dict[str, dict[str, JsonValue]], BeforeValidator(_none_is_empty)]
Env = Annotated[Environment, BeforeValidator(_as_python_says)]
VariablesByName = Annotated[
    dict[str, Annotated[Variables, BeforeValidator(_none_is_empty)]], BeforeValidator(_none_is_empty)
]


class DependencySection(Section):
    name: Literal["galaxy", "shell"] = "galaxy"
    enabled: bool = Field(default=True, description="false skips the step dependency")
    command: Text | None = Field(default=None, description="what `shell` runs")
    options: Options = Field(default_factory=dict, description="options of ansible-galaxy, such as role-file")
    env: Env = Field(default_factory=dict, description="environment of what is run")


class DriverOptions(OpenSection):
    managed: bool = Field(default=True, description="false: the machines are there and stay")
    login_cmd_template: Text | None = Field(default=None, description="how `login` reaches a machine: ssh {address}")
    ansible_connection_options: Options = Field(
        default_factory=dict, description="variables of every host that is not managed"
    )


class MoleculeDriver(OpenSection):
    name: Text = Field(default="default", description="default, docker, podman, or a driver of the harness")
    options: Annotated[DriverOptions, BeforeValidator(_none_is_empty)] = Field(default_factory=DriverOptions)
    provider: Options = Field(default_factory=dict, description="of the driver vagrant: {name: libvirt}")
    ssh_connection_options: list[Text] = Field(default_factory=list, description="options of Ansible's ssh")
    safe_files: list[Text] = Field(default_factory=list, description="files that outlive destroy")


class MoleculePlatform(OpenSection):
    """Keys beside these are the driver's."""

    name: Text
    driver: Text | None = Field(default=None, description="this platform's driver, where it is not the scenario's")
    image: Text | None = None
    groups: list[Text] = Field(default_factory=list)
    children: list[Text] = Field(default_factory=list, description="groups below each of its groups")


class MoleculeInventory(OpenSection):
    hosts: Options = Field(default_factory=dict, description="groups with hosts, vars and children, as Ansible's")
    host_vars: VariablesByName = Field(default_factory=dict)
    group_vars: VariablesByName = Field(default_factory=dict)
    links: Annotated[dict[str, Text], BeforeValidator(_none_is_empty)] = Field(
        default_factory=dict, description="files and folders that stand for hosts, host_vars and group_vars"
    )


Playbooks = Annotated[dict[str, Text | dict[str, Text | None] | None], BeforeValidator(_none_is_empty)]
"""By step; or by driver, and then by step."""


class AnsibleProvisioner(OpenSection):
    name: Literal["ansible"] = "ansible"
    playbooks: Playbooks = Field(default_factory=dict, description="by step; or by driver, and then by step")
    config_options: Config = Field(default_factory=dict, description="sections of ansible.cfg")
    connection_options: Options = Field(default_factory=dict, description="variables of every host")
    options: Options = Field(default_factory=dict, description="options of ansible-playbook without hyphens")
    ansible_args: Arguments = Field(default_factory=list, description="further arguments of ansible-playbook")
    env: Env = Field(default_factory=dict, description="environment of ansible-playbook and of the tests")
    inventory: Annotated[MoleculeInventory, BeforeValidator(_none_is_empty)] = Field(default_factory=MoleculeInventory)
    children: Options = Field(default_factory=dict, description="Molecule's; it reads it nowhere")
    log: bool = Field(default=True, description="false hides what create and destroy print")


class ExecutorArguments(Section):
    ansible_playbook: Arguments = Field(default_factory=list)
    ansible_navigator: Arguments = Field(default_factory=list)


class ExecutorSection(Section):
    backend: Literal["ansible-playbook", "ansible-navigator"] = "ansible-playbook"
    args: ExecutorArguments = Field(default_factory=ExecutorArguments)


class AnsibleSection(Section):
    """Molecule 25's newer place for what `provisioner` says."""

    cfg: Config = Field(default_factory=dict, description="sections of ansible.cfg")
    env: Env = Field(default_factory=dict, description="environment of ansible-playbook and of the tests")
    executor: ExecutorSection = Field(default_factory=ExecutorSection)
    playbooks: Playbooks = Field(default_factory=dict)


class MoleculeVerifier(VerifierSection):
    options: Options = Field(default_factory=dict, description="options of pytest")
    env: Env = Field(default_factory=dict)
    lint: Any = Field(default=None, deprecated="Molecule has dropped it, too")


class AnsibleFile(CommonFile):
    """molecule.yml as Molecule has it."""

    dependency: Annotated[DependencySection, BeforeValidator(_none_is_empty)] = Field(default_factory=DependencySection)
    driver: Annotated[MoleculeDriver, BeforeValidator(_none_is_empty)] = Field(default_factory=MoleculeDriver)
    platforms: list[MoleculePlatform] = Field(default_factory=list)
    provisioner: Annotated[AnsibleProvisioner, BeforeValidator(_none_is_empty)] = Field(
        default_factory=AnsibleProvisioner
    )
    ansible: AnsibleSection | None = None
    verifier: Annotated[MoleculeVerifier, BeforeValidator(_none_is_empty)] = Field(default_factory=MoleculeVerifier)
    prerun: bool = Field(default=True, description="make the project's own role or collection known to Ansible")
    role_name_check: Literal[0, 1, 2] = Field(default=0, description="0: its name must be one for Galaxy; 1: warn")
    shared_state: bool = Field(
        default=False, description="the scenario default makes and destroys the platforms of all"
    )

    @field_validator("platforms", mode="before")
    @classmethod
    def _no_platforms(cls, value: object) -> object:
        return [] if value is None else value
