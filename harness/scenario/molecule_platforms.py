"""Platforms as Molecule's drivers know them: which of our drivers makes them, and from which options."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import registry
from harness.drivers.base import NO_NAME, Driver, PlatformSpec, is_name
from harness.errors import HarnessError, Problem
from harness.models.problems import Keys, nearest, shown
from harness.models.serde import StrictModel
from harness.scenario.file import DriverSection, PlatformSection
from harness.scenario.molecule_file import MoleculeDriver, MoleculePlatform
from harness.scenario.platforms import MAX_NAME, PlatformReader

DELEGATED = "default"
"""Its platforms are what the user's create.yml makes of them."""

_OURS = {"delegated": DELEGATED, "podman": "docker", "containers": "docker"}
"""Molecule's driver to ours, where the names differ."""

_PLUGINS = ("molecule-", "molecule_", "custom-", "custom_")
"""How Molecule's schema lets drivers of others be called."""
_OF_MOLECULE = ("azure", "digitalocean", "ec2", "gce", "kubevirt", "lxd", "openstack")

REFUSED = {
    "extra_opts": "options of podman's command line are not supported",
    "storage_opt": "it is not supported",
    "storage_driver": "it is not supported",
    "cgroup_manager": "it is not supported",
    "rootless": "the daemon at DOCKER_HOST or CONTAINER_HOST decides",
}
"""Keys of Molecule's docker and podman drivers that are not honoured, and what does."""

PODMANS_NETWORK = ("network", "ip", "subnet")
_NETWORK_MODES = ("bridge", "none", "host", "ns", "private", "slirp4netns", "pasta", "container")
"""Of podman's --network: what is no network's name."""

_WITHOUT_EFFECT = (
    "box",
    "children",
    "detach",
    "environment",
    "interfaces",
    "pkg_extras",
    "provider_options",
    "provider_raw_config_args",
)
"""Keys that mean another driver or another way of making containers: nothing differs without them."""


_TAKEN_APART = ("image_url", "libvirt_host", "libvirt_user", "bridge_name", "network_name")
"""Keys of molecule-libvirt that say in their own way what another key of ours says."""

_VAGRANTS_BOX = "generic/alpine316"
"""Molecule's, where no platform's `box` and no `default_box` says another."""
_SAID_ANYWAY = {"force": True, "container_default_behavior": "compatibility"}
"""Molecule's own defaults, which say nothing that differs here."""


def our_driver(name: str) -> str:
    """`native` and the like stay what they are."""
    return _OURS.get(name, name)


class MoleculePlatforms:
    """`chosen` is the driver of `-d`, which takes the place of the scenario's own. Finds all problems."""

    def __init__(
        self, section: MoleculeDriver, chosen: str | None, where: Callable[[Keys], str], *, directory: Path
    ) -> None:
        self.section = section
        self.name = chosen or section.name
        self.foreign = chosen is not None and our_driver(chosen) != our_driver(section.name)
        self.where = where
        self.directory = directory
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def read(self, platforms: Sequence[MoleculePlatform]) -> list[PlatformSpec]:
        if not self._driver_exists(self.name, ("driver", "name")):
            return []
        model = _model(our_driver(self.name))
        extra = dict(self.section.model_extra or {})
        if self.section.provider and our_driver(self.section.name) == "vagrant":
            extra["provider"] = self.section.provider
            self._tell_of(self.section.provider, ["name"], ("driver", "provider"))
        defaults = {key: value for key, value in extra.items() if model is not None and key in model.model_fields}
        self._tell_of(extra, model.model_fields if model is not None else extra, ("driver",))
        reader = _Reader(DriverSection(name=our_driver(self.name), **defaults), self.where)
        specs = reader.read([self._section(platform, index) for index, platform in enumerate(platforms)])
        self.problems += reader.problems
        return specs

    def _driver_exists(self, name: str, at: Keys) -> bool:
        ours = our_driver(name)
        if ours in (DELEGATED, *registry.names(registry.DRIVERS)):
            return True
        if name in _OF_MOLECULE or name.startswith(_PLUGINS):
            hint = "`driver: default` with a create.yml of your own makes what it made; or -d docker"
            self.problems.append(Problem(self.where(at), f"Molecule's driver {name} is not supported", hint))
            return False
        known = sorted({DELEGATED, "podman", *registry.names(registry.DRIVERS)})
        near = nearest(name, known)
        words = f"; did you mean {near}?" if near else f"; known here: {', '.join(known)}"
        self.problems.append(Problem(self.where(at), f"there is no driver named {name!r}{words}"))
        return False

    def _section(self, platform: MoleculePlatform, index: int) -> PlatformSection:
        at: Keys = ("platforms", index)
        own = platform.driver
        if own is not None and not self._driver_exists(own, (*at, "driver")):
            own = None
        name = own or self.name
        options = dict(platform.model_extra or {})
        model, image = _model(our_driver(name)), platform.image
        snapshot = None
        if our_driver(name) != DELEGATED:
            snapshot = self._snapshot(options.pop("snapshot", None), at)
        if our_driver(name) == DELEGATED or model is None:
            options = {}
        elif our_driver(name) == "docker":
            options = self._docker(options, model, podman=name == "podman", at=at)
        elif our_driver(name) == "vagrant":
            options = self._vagrant(options, model, image=platform.image, at=at)
        elif our_driver(name) == "libvirt":
            image = image or options.get("image_url")
            options = self._libvirt(options, model, at=at)
        elif self.foreign:
            # What was written for another driver: only what both know has a meaning.
            options = {key: value for key, value in options.items() if key in model.model_fields}
        return PlatformSection(
            name=platform.name,
            driver=None if own is None else our_driver(own),
            image=image,
            groups=[*platform.groups, *platform.children],
            snapshot=snapshot,
            **options,
        )

    def _snapshot(self, value: object, at: Keys) -> bool | str | None:
        """Ours, and no key of Molecule's."""
        if value is None or isinstance(value, bool) or (isinstance(value, str) and is_name(value)):
            return value
        self.problems.append(
            Problem(self.where((*at, "snapshot")), f"{shown(value)} is neither true nor false, and {NO_NAME}")
        )
        return None

    def _docker(
        self, written: Mapping[str, Any], model: type[StrictModel], *, podman: bool, at: Keys
    ) -> dict[str, Any]:
        """Molecule's keys as the docker driver takes them (molecule_plugins/docker/playbooks/create.yml)."""
        options = {"pre_build_image": False, "command_handling": "compatibility", **written}
        if podman:
            options.setdefault("docker_host", _podman_socket())
            options |= _podman_network(options)
        for key, instead in REFUSED.items():
            if key in options:
                self.problems.append(Problem(self.where((*at, key)), f"is not supported; {instead}"))
        names = [*model.model_fields, *REFUSED, *(PODMANS_NETWORK if podman else [])]
        self._tell_of(written, names, at)
        return _as_ours({key: value for key, value in options.items() if key in model.model_fields})

    def _vagrant(
        self, written: Mapping[str, Any], model: type[StrictModel], *, image: str | None, at: Keys
    ) -> dict[str, Any]:
        """Molecule's keys as they are (molecule_plugins/vagrant/modules/vagrant.py); `box_url:` alone says nothing."""
        if not self.foreign:
            self._tell_of(written, model.model_fields, at)
        options = {key: value for key, value in written.items() if value is not None and key in model.model_fields}
        said = self.section.model_extra or {}
        if image is None and "vagrantfile" not in options and "default_box" not in said:
            options.setdefault("default_box", _VAGRANTS_BOX)
        return options

    def _libvirt(self, written: Mapping[str, Any], model: type[StrictModel], *, at: Keys) -> dict[str, Any]:
        """Molecule's keys as molecule-libvirt took them (molecule_libvirt/playbooks/create.yml and its templates)."""
        from harness.drivers.libvirt.options import OF_MOLECULE_LIBVIRT

        options = dict(written)
        if "libvirt_host" in options:
            user = f"{options['libvirt_user']}@" if "libvirt_user" in options else ""
            options.setdefault("uri", f"qemu+ssh://{user}{options['libvirt_host']}/system")
        for key in ("bridge_name", "network_name"):
            if key in options:
                options.setdefault("network", f"{key.removesuffix('_name')}:{options[key]}")
        known = {*model.model_fields, *OF_MOLECULE_LIBVIRT}
        if not self.foreign:
            self._tell_of(written, {*known, *_TAKEN_APART}, at)
        return {key: value for key, value in options.items() if value is not None and key in known}

    def _tell_of(self, written: Mapping[str, Any], known: Collection[str], at: Keys) -> None:
        """Molecule lets what it does not know pass in silence."""
        for key in written:
            if key not in known and key not in _WITHOUT_EFFECT:
                near = nearest(key, known)
                words = f"did you mean {near}?" if near else "it has no effect here"
                self.warnings.append(Problem(self.where((*at, key)), f"no key of this driver; {words}"))


class _Reader(PlatformReader):
    """Keys of delegated platforms are the affair of who wrote create.yml."""

    @staticmethod
    def _longest(driver: str) -> int:
        """An inventory's names may be whole domain names."""
        return 253 if driver == DELEGATED else MAX_NAME

    def _driver(self, name: str, at: Keys) -> Driver | None:
        return None if name == DELEGATED else super()._driver(name, at)


def _model(driver: str) -> type[StrictModel] | None:
    try:
        return registry.driver(driver).platform_options
    except HarnessError:  # what it stands on is not installed: whoever runs it is told
        return None


def _as_ours(options: dict[str, Any]) -> dict[str, Any]:
    """Values that community.docker.docker_container reads in its own way."""
    command = options.get("command")
    if options.get("override_command") is False or command in ("", []):
        # An empty command is the image's own.
        options |= {"override_command": False}
        options.pop("command", None)
    if isinstance(options.get("hostname"), bool):
        options.pop("hostname")
    host = options.get("docker_host")
    if isinstance(host, str) and host.startswith("unix://") and not host.startswith("unix:///"):
        options["docker_host"] = host.replace("unix://", "unix:///", 1)
    for key in ("memory", "memory_swap", "shm_size"):
        if isinstance(options.get(key), int) and not isinstance(options[key], bool):
            options[key] = f"{options[key]}b"  # a bare number is bytes there
    for key, default in _SAID_ANYWAY.items():
        if options.get(key) == default:
            options.pop(key)
    return {key: value for key, value in options.items() if value is not None}


def _podman_network(options: dict[str, Any]) -> dict[str, Any]:
    """`network`, `subnet` and `ip` in the docker driver's words: a network of that name is made where there is none."""
    if options.get("network") is None:
        return {}
    name = str(options["network"])
    if name.partition(":")[0] in _NETWORK_MODES:
        return {"network_mode": name}
    member = {"name": name, **({"ipv4_address": options["ip"]} if "ip" in options else {})}
    found: dict[str, Any] = {"networks": [member]}
    if "subnet" in options:
        found["docker_networks"] = [{"name": name, "ipam_config": [{"subnet": options["subnet"]}]}]
    return found


def _podman_socket() -> str:
    """Where `podman system service` listens: CONTAINER_HOST, the user's own, root's."""
    named = os.environ.get("CONTAINER_HOST")
    if named:
        return named
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    own = Path(runtime) / "podman" / "podman.sock" if runtime else None
    return f"unix://{own if own is not None and own.exists() else '/run/podman/podman.sock'}"
