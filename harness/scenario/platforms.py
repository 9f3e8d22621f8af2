"""The `platforms:` of molecule.yml: names, groups, drivers, and each driver's own keys by its own model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from harness import registry
from harness.drivers.base import Driver, PlatformSpec
from harness.errors import HarnessError, Problem, UsageError
from harness.models.problems import Keys, problems_of, shown, unknown
from harness.models.serde import StrictModel
from harness.scenario.file import DriverSection, PlatformSection
from harness.scenario.settings import Settings

MAX_NAME = 63
"""One label of a host name (RFC 1123 section 2.1); Linux allows 64 for the whole (HOST_NAME_MAX)."""

OS_NAMES = ("linux", "macos", "windows")
ARCHITECTURES = ("x86_64", "aarch64", "i686", "armv7", "arm", "riscv64gc", "powerpc64le", "s390x")
"""As the first part of a Rust target triple (doc.rust-lang.org/rustc/platform-support.html)."""

ALIASES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "x86-64": "x86_64",
    "arm64": "aarch64",
    "i386": "i686",
    "darwin": "macos",
}

# Inventories have underscores in names, which RFC 1123 has not; every driver takes them.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_RESERVED = ("all", "ungrouped")


class PlatformReader:
    """`default` is the scenario's driver, `-d` applied. Finds all problems; `where` places them."""

    def __init__(self, default: DriverSection, where: Callable[[Keys], str], *, usual_images: bool = False) -> None:
        self.default = default
        self.usual_images = usual_images
        """Whether a platform that lacks an image gets the one that its driver has for that."""
        self.where = where
        self.problems: list[Problem] = []
        self._drivers: dict[str, Driver | None] = {}
        self._names: dict[str, int] = {}

    def read(self, sections: Sequence[PlatformSection]) -> list[PlatformSpec]:
        self._check_driver_section()
        return [self._spec(section, ("platforms", index)) for index, section in enumerate(sections)]

    def _check_driver_section(self) -> None:
        driver = self._driver(self.default.name, ("driver", "name"))
        known = list(driver.platform_options.model_fields) if driver else []
        for key in self.default.model_extra or {} if driver else {}:
            if key not in known:
                self._problem(("driver", key), unknown(key, ["name", *known]))

    def _spec(self, section: PlatformSection, at: Keys) -> PlatformSpec:
        name = section.driver or self.default.name
        self._check_name(section.name, at, longest=self._longest(name))
        spec = PlatformSpec(
            name=section.name,
            driver=name,
            image=section.image,
            os=self._one_of(OS_NAMES, section.os, (*at, "os")),
            arch=None if section.arch is None else self._one_of(ARCHITECTURES, section.arch, (*at, "arch")),
            groups=self._groups(section.groups, at),
            snapshot=section.snapshot,
            shaping=section.shaping,
            strategy=section.strategy,
        )
        driver = self._driver(name, (*at, "driver") if section.driver else ("driver", "name"))
        if driver is None:
            return spec
        defaults = self.default.model_extra or {} if name == self.default.name else {}
        options = self._options(driver.platform_options, section.model_extra or {}, defaults, at)
        spec = replace(spec, options=options)
        if options is not None:
            if self.usual_images and spec.image is None and driver.check(spec):
                spec = replace(spec, image=driver.usual_image)
            self._add(*(replace(one, where=self.where((*at, one.where))) for one in driver.check(spec)))
        if spec.shaping is not None and getattr(spec.options, "connection", None) != "ssh":
            self._problem((*at, "shaping"), "it is the way to sshd that is shaped: this needs `connection: ssh`")
        return spec

    def _options(
        self, model: type[StrictModel], own: Mapping[str, Any], defaults: Mapping[str, Any], at: Keys
    ) -> StrictModel | None:
        given = {**{key: value for key, value in defaults.items() if key in model.model_fields}, **own}

        def where(keys: Keys) -> str:
            return self.where(
                ("driver", *keys) if keys and keys[0] not in own and keys[0] in defaults else (*at, *keys)
            )

        try:
            return model.model_validate(given)
        except ValidationError as error:
            extra = [Problem(where((key,)), self._unknown(key, model)) for key in own if key not in _names(model)]
            found = problems_of(error, given, model=model, where=where)
            places = {problem.where for problem in extra}
            self._add(*extra, *(problem for problem in found if problem.where not in places))
            return None

    @staticmethod
    def _unknown(key: str, model: type[StrictModel]) -> str:
        return unknown(key, [*PlatformSection.model_fields, *_names(model)])

    def _driver(self, name: str, at: Keys) -> Driver | None:
        """None, and one problem, where there is no such driver; None alone where what it stands on is not installed:
        that is no fault of the scenario, and whoever runs it is told."""
        if name not in self._drivers:
            self._drivers[name] = None
            try:
                self._drivers[name] = registry.driver(name)
            except UsageError as error:
                self._add(Problem(self.where(at), error.message, error.hint))
            except HarnessError:
                pass
        return self._drivers[name]

    @staticmethod
    def _longest(driver: str) -> int:
        return MAX_NAME

    def _check_name(self, name: str, at: Keys, *, longest: int) -> None:
        fault = name_fault(name, longest=longest)
        first = self._names.setdefault(name.lower(), int(at[1]))
        if fault is None and first != at[1]:
            fault = f"platforms[{first}] has this name, too; a host name stands for one machine, whatever its case"
        if fault is not None:
            self._problem((*at, "name"), fault)

    def _groups(self, groups: Sequence[str], at: Keys) -> tuple[str, ...]:
        for index, group in enumerate(groups):
            if not _GROUP.fullmatch(group):
                words = f"{shown(group)} is no group name; letters, digits, hyphens, dots and underscores make one"
                self._problem((*at, "groups", index), words)
        # Every platform is in `all` as it is.
        return tuple(dict.fromkeys(group for group in groups if group != "all"))

    def _one_of(self, known: Sequence[str], value: str, at: Keys) -> str:
        name = ALIASES.get(value.lower(), value)
        if name not in known:
            self._problem(at, f"should be one of {', '.join(known)}, not {shown(value)}")
        return name

    def _problem(self, at: Keys, words: str) -> None:
        self._add(Problem(self.where(at), words))

    def _add(self, *problems: Problem) -> None:
        """The same fault of a default shows at every platform: once is enough."""
        self.problems += [problem for problem in problems if problem not in self.problems]


def with_settings(specs: Iterable[PlatformSpec], settings: Settings) -> tuple[PlatformSpec, ...]:
    """With what the settings say where a platform is silent: when its image is pulled."""
    pull = {"Always": "always", "Never": "never"}.get(settings.docker.image_pull_policy)
    return tuple(_pulled(spec, pull) if pull and spec.driver == "docker" else spec for spec in specs)


def _pulled(spec: PlatformSpec, pull: str) -> PlatformSpec:
    if spec.options is None or "pull" in spec.options.model_fields_set:
        return spec
    return replace(spec, options=spec.options.model_copy(update={"pull": pull}))


def _names(model: type[StrictModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def name_fault(name: str, *, longest: int = MAX_NAME) -> str | None:
    """Why this can't be a platform's name."""
    if len(name) > longest:
        return f"{shown(name)} has {len(name)} characters; a host name has at most {longest}"
    if not _NAME.fullmatch(name) or ".." in name:
        return f"{shown(name)} is no host name: letters and digits, and between them hyphens, dots and underscores"
    if name in _RESERVED:
        return f"{shown(name)} is the name of a group that always exists"
    return None
