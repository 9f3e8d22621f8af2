"""What a scenario of Molecule's says of Ansible, in our words: playbooks, inventory, settings, environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from harness.drivers.base import PlatformSpec, ScenarioRef
from harness.drivers.delegated import DelegatedOptions
from harness.errors import Problem
from harness.models.problems import Keys, nearest
from harness.models.scenario import AnsibleSettings, Dependency, Inventory, Provisioner
from harness.scenario.molecule_defaults import DEFAULT_PLAYBOOKS, document_of
from harness.scenario.molecule_file import STEPS, AnsibleFile, Playbooks
from harness.scenario.molecule_platforms import DELEGATED, MoleculePlatforms, our_driver
from harness.scenario.project import FILE
from harness.scenario.source import display, is_file

_OLD_CONVERGE = "playbook.yml"
"""What converge.yml was called up to Molecule 2."""

_CONNECTIONS = {
    "docker": "community.docker.docker",
    "containers": "community.docker.docker",
    "podman": "containers.podman.podman",
}
"""Of containers that a create.yml makes, by Molecule's driver (molecule_plugins/*/driver.py)."""

_TWICE = {
    "playbooks": "playbooks",
    "env": "env",
    "config_options": "cfg",
    "ansible_args": "executor",
}
"""Where `provisioner` and the newer `ansible` say the same."""


class AnsibleReader:
    """`chosen` is the driver of `-d`. After `read`, `problems` and `warnings` are complete."""

    def __init__(self, ref: ScenarioRef, file: AnsibleFile, where: Callable[[Keys], str], chosen: str | None) -> None:
        self.ref = ref
        self.file = file
        self.where = where
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._chosen = chosen
        self.molecule_driver = chosen or file.driver.name
        self.driver = our_driver(self.molecule_driver)
        """After `read`: `default`, too, where the scenario's own create.yml makes the containers."""

    def read(
        self, data: Mapping[str, JsonValue], environment: Mapping[str, str]
    ) -> tuple[tuple[PlatformSpec, ...], Provisioner]:
        """`data` is the document as it is written; `environment` holds Molecule's variables."""
        playbooks = self._playbooks()
        self._choose_maker(playbooks)
        platforms = self._read_platforms()
        self._refuse()
        self._tell_of_unknown_keys()
        inventory = self.file.provisioner.inventory
        provisioner = Provisioner(
            name="ansible",
            env=self._env(),
            inventory=Inventory(hosts_vars=dict(inventory.host_vars), group_vars=dict(inventory.group_vars)),
            ansible=self._settings(playbooks, data, environment),
        )
        assert provisioner.ansible is not None
        return tuple(_delegated(platform, provisioner.ansible) for platform in platforms), provisioner

    def _choose_maker(self, playbooks: Mapping[str, Path]) -> None:
        """A create.yml of the scenario's own takes the place of the one that Molecule's driver brings."""
        own = [step for step in ("create", "destroy") if step in playbooks]
        if self.driver == DELEGATED or not own:
            return
        at: Keys = ("driver", "name")
        names = " and ".join(playbooks[step].name for step in own)
        if self.molecule_driver not in _CONNECTIONS or own == ["destroy"]:
            self._warn(at, f"{names} is not run: the driver {self.driver} makes and destroys by itself")
        elif own == ["create"]:
            hint = "write destroy.yml beside it, or remove create.yml and leave both to the driver"
            self._problem(at, f"{names} makes containers, and there is no destroy.yml to remove them", hint)
        else:
            self.driver = DELEGATED

    def _read_platforms(self) -> tuple[PlatformSpec, ...]:
        section, chosen = self.file.driver, self._chosen
        if self._made_by_playbooks:
            section, chosen = section.model_copy(update={"name": DELEGATED, "provider": {}}), None
        reader = MoleculePlatforms(section, chosen, self.where, directory=self.ref.directory)
        platforms = tuple(reader.read(self.file.platforms))
        self.problems += reader.problems
        self.warnings += reader.warnings
        return platforms

    @property
    def _made_by_playbooks(self) -> bool:
        """By those of a scenario whose driver could make them itself."""
        return self.driver == DELEGATED != our_driver(self.molecule_driver)

    def _connection(self) -> dict[str, JsonValue]:
        """How Ansible reaches what is not to be found in instance_config.yml."""
        if not self._made_by_playbooks:
            return self.file.driver.options.ansible_connection_options
        return {"ansible_connection": _CONNECTIONS[self.molecule_driver]}

    def _settings(
        self, playbooks: dict[str, Path], data: Mapping[str, JsonValue], environment: Mapping[str, str]
    ) -> AnsibleSettings:
        section, driver, newer = self.file.provisioner, self.file.driver, self.file.ansible
        arguments = newer.executor.args.ansible_playbook if newer else []
        ephemeral = Path(environment["MOLECULE_EPHEMERAL_DIRECTORY"])
        return AnsibleSettings(
            shared_state=self.file.shared_state and self.driver == DELEGATED,
            playbooks=playbooks,
            config_options=section.config_options or (newer.cfg if newer else {}),
            connection_options=section.connection_options,
            options=section.options,
            ansible_args=tuple(section.ansible_args or arguments),
            hosts=section.inventory.hosts,
            links=self._links(section.inventory.links),
            children=self._children(),
            dependency=self._dependency(),
            prerun=self.file.prerun,
            # Molecule refuses by default, and so most roles older than Galaxy's rule; a word will do.
            role_name_check=self.file.role_name_check if "role_name_check" in self.file.model_fields_set else 1,
            log=section.log,
            driver=self.molecule_driver,
            managed=driver.options.managed,
            driver_connection_options=self._connection(),
            login_cmd_template=driver.options.login_cmd_template,
            ssh_connection_options=tuple(driver.ssh_connection_options),
            safe_files=tuple(driver.safe_files),
            ephemeral=ephemeral,
            environment={
                **environment,
                "MOLECULE_DRIVER_NAME": self.molecule_driver,
                "MOLECULE_FILE": str(ephemeral / FILE),  # not the one that is written: that lacks the defaults
            },
            document=document_of(data, self.ref.name, self.molecule_driver),
        )

    def _env(self) -> dict[str, str]:
        return self.file.provisioner.env or (self.file.ansible.env if self.file.ansible else {})

    # --- playbooks -------------------------------------------------------------------------------------------------

    def _playbooks(self) -> dict[str, Path]:
        at: Keys = ("provisioner", "playbooks")
        written: Playbooks = self.file.provisioner.playbooks
        if not written and self.file.ansible is not None:
            at, written = ("ansible", "playbooks"), self.file.ansible.playbooks
        drivers = (self.molecule_driver, self.file.driver.name, self.driver)
        found: dict[str, Path] = {}
        for step in STEPS:
            name, keys = self._written(written, step, drivers)
            path = self._playbook(step, DEFAULT_PLAYBOOKS[step] if keys is None else name, keys and (*at, *keys))
            if path is not None:
                found[step] = path
        for key in written:
            if key not in STEPS and not isinstance(written[key], Mapping):
                self._warn((*at, key), _strange(key, STEPS, "no step of a playbook"))
        return found

    @staticmethod
    def _written(written: Playbooks, step: str, drivers: Iterable[str]) -> tuple[str | None, Keys | None]:
        """What is said of a step, the driver's own word first, and where; None twice where nothing is said."""
        for driver in drivers:
            own = written.get(driver)
            if isinstance(own, Mapping) and step in own:
                return own[step], (driver, step)
        said = written.get(step)
        if step in written and not isinstance(said, Mapping):
            return said, (step,)
        return None, None

    def _playbook(self, step: str, name: str | None, at: Keys | None) -> Path | None:
        """Missing ones are no mistake in Molecule, but for converge, which the step itself tells."""
        if name is None:
            return None
        path = self._path(name)
        if is_file(path):
            return path
        old = path.with_name(_OLD_CONVERGE)
        if path.name == "converge.yml" and is_file(old):
            self._warn(at or ("provisioner",), f"{old.name} is what converge.yml was called; rename it")
            return old
        bundled = self.driver != DELEGATED and name == DEFAULT_PLAYBOOKS[step] and step in ("create", "destroy")
        if at is not None and not bundled:
            self._warn(at, f"there is no file {display(path)}; the step does without, as in Molecule")
        return None

    # --- the rest --------------------------------------------------------------------------------------------------

    def _links(self, written: Mapping[str, str]) -> dict[str, Path]:
        links = {name: self._path(source) for name, source in written.items()}
        for name, path in links.items():
            if not path.exists():
                self._problem(("provisioner", "inventory", "links", name), f"there is no {display(path)}")
        inventory = self.file.provisioner.inventory
        for key in ("hosts", "host_vars", "group_vars") if links else ():
            if getattr(inventory, key):
                self._warn(("provisioner", "inventory", key), "`links` takes the place of all three, as in Molecule")
        return links

    def _children(self) -> dict[str, tuple[str, ...]]:
        """Parent group to the groups below it, each once."""
        found: dict[str, dict[str, None]] = {}
        for platform in self.file.platforms:
            for group in platform.groups or ["ungrouped"] if platform.children else ():
                found.setdefault(group, {}).update(dict.fromkeys(platform.children))
        return {group: tuple(children) for group, children in found.items()}

    def _dependency(self) -> Dependency:
        section = self.file.dependency
        if section.name == "shell" and section.enabled and section.command is None:
            self._problem(("dependency",), "`name: shell` needs a `command`")
        return Dependency(
            name=section.name,
            enabled=section.enabled,
            command=section.command,
            options=section.options,
            env=section.env,
        )

    def _refuse(self) -> None:
        newer = self.file.ansible
        if newer is not None:
            if newer.executor.backend != "ansible-playbook":
                self._problem(("ansible", "executor", "backend"), "ansible-navigator is not supported")
            for old, new in _TWICE.items():
                if old in self.file.provisioner.model_fields_set and new in newer.model_fields_set:
                    self._warn(("ansible", new), f"provisioner.{old} takes its place, as in Molecule")
        if self.file.shared_state and self.driver != DELEGATED:
            words = f"with the driver {self.driver} each scenario makes and destroys platforms of its own"
            self._warn(("shared_state",), words)

    def _tell_of_unknown_keys(self) -> None:
        """Molecule lets them pass in silence; a misspelt one deserves a word."""
        sections: list[tuple[Keys, BaseModel]] = [
            (("provisioner",), self.file.provisioner),
            (("provisioner", "inventory"), self.file.provisioner.inventory),
            (("driver", "options"), self.file.driver.options),
        ]
        for at, section in sections:
            for key in section.model_extra or {}:
                self._warn((*at, key), _strange(key, type(section).model_fields, "no key that Molecule reads"))
        for at in (("lint",), ("verifier", "lint")):
            holder: BaseModel = self.file if len(at) == 1 else self.file.verifier
            if "lint" in holder.model_fields_set and not isinstance(holder.__dict__["lint"], str | None):
                self._warn(at, "Molecule has dropped it; nothing is linted")

    def _path(self, written: str) -> Path:
        path = Path(written).expanduser() if written.startswith("~/") else Path(written)
        return self.ref.directory / path

    def _problem(self, at: Keys, words: str, hint: str | None = None) -> None:
        self.problems.append(Problem(self.where(at), words, hint))

    def _warn(self, at: Keys, words: str) -> None:
        self.warnings.append(Problem(self.where(at), words))


def _strange(key: str, known: Iterable[str], what: str) -> str:
    near = nearest(key, known)
    return f"{what}; did you mean {near}?" if near else f"{what}; it is left alone"


def _delegated(platform: PlatformSpec, settings: AnsibleSettings) -> PlatformSpec:
    """A platform that create.yml makes: how it is reached stands in the scenario's `driver`."""
    if platform.driver != DELEGATED:
        return platform
    options = DelegatedOptions(
        managed=settings.managed and our_driver(settings.driver) == DELEGATED,
        connection=settings.driver_connection_options,
        ssh_options=settings.ssh_connection_options,
        ephemeral=settings.ephemeral,
    )
    return replace(platform, options=options)


def misspelt_provisioner(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """The key and what is wrong with it: `provisoner: {name: binary}` would make the scenario one of Molecule's, and
    all else in it look wrong."""
    if "provisioner" in data:
        return None
    strange = [key for key, value in data.items() if isinstance(value, Mapping) and key not in AnsibleFile.model_fields]
    near = nearest("provisioner", strange)
    return None if near is None else (near, "unknown key; did you mean provisioner?")
