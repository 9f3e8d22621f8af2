"""harness.toml, the environment, the command line: the later wins, and each value knows where it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from harness.errors import InvalidInput, Problem
from harness.models.problems import Keys, nearest, path_text, problems_of
from harness.models.serde import StrictModel
from harness.scenario.source import display, read_text
from harness.scenario.values import Positive, Text, Whole

FILES = ("harness.toml", "tests/e2e.toml")
"""The first that exists is read; the second is what specification 110 calls it."""

DEFAULT = "default"
_ONE_BY_ONE = "scenarios run one after another, their platforms side by side (`harness.workers`)"
_OWN_NAMES = "a network bears the names of its scenario and run, so that two runs never meet"
_ONE_CLOCK = "a container is waited for as long as its scenario has time (`scenario.timeout_seconds`)"
WITHOUT_EFFECT = {
    "e2e_testing.max_parallel_tests": _ONE_BY_ONE,
    "docker.network_name": _OWN_NAMES,
    "docker.container_timeout_seconds": _ONE_CLOCK,
}
"""What specification 110 has and nothing here needs: read, so that its files can be, and told where it is set."""


class HarnessSettings(StrictModel):
    workers: Whole | None = Field(
        default=None, description="platforms worked on side by side; absent: one per processor"
    )


class TestingSettings(StrictModel):
    default_timeout_seconds: Positive = Field(default=300, description="of a scenario that names none")
    max_parallel_tests: Whole = Field(default=4, description=f"without effect: {_ONE_BY_ONE}")
    cleanup_on_failure: bool = Field(default=True, description="destroy a failed test's platforms")
    preserve_artifacts: bool = Field(default=True, description="keep logs and collected files of a failed test")


class DockerSettings(StrictModel):
    network_name: Text = Field(default="rustle-deploy-e2e", description=f"without effect: {_OWN_NAMES}")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="of images whose platform does not say `pull`"
    )
    cleanup_containers: bool = Field(default=True, description="remove containers once a test has ended")
    container_timeout_seconds: Positive = Field(default=300, description=f"without effect: {_ONE_CLOCK}")


class PerformanceSettings(StrictModel):
    baseline: bool = Field(default=False, description="run the same plan by Ansible over SSH, too")
    baseline_ssh_timeout: Positive = Field(default=600, description="of that run, in seconds")
    min_improvement_factor: Positive | None = Field(default=None, description="of a scenario that names none")
    max_binary_size_mb: Positive | None = Field(default=None, description="of a scenario that names none")


class Target(StrictModel):
    arch: Text
    os: Text


class PlatformsSettings(StrictModel):
    default_targets: list[Target] = Field(
        default_factory=list, description="of a generated fixture where no --target is named"
    )


class SnapshotsSettings(StrictModel):
    enabled: bool = Field(default=True, description="keep what `prepare` makes, and go on from it")
    max_age_hours: Positive = Field(default=24, description="an older one is made anew: package lists grow stale")


class FixturesSettings(StrictModel):
    fixtures_dir: Path | None = Field(default=None, description="absent: the ones that come with the harness")
    generate_large_scale: bool = Field(default=True, description="whether `harness fixtures generate` may make one")
    max_hosts_for_testing: Whole = Field(default=100, description="of a generated fixture")


class Settings(StrictModel):
    """Paths are absolute (relative ones are taken from the project). `origin` tells where a value came from."""

    harness: HarnessSettings = HarnessSettings()
    e2e_testing: TestingSettings = TestingSettings()
    docker: DockerSettings = DockerSettings()
    performance: PerformanceSettings = PerformanceSettings()
    platforms: PlatformsSettings = PlatformsSettings()
    fixtures: FixturesSettings = FixturesSettings()
    snapshots: SnapshotsSettings = SnapshotsSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def origin(self, name: str) -> str:
        """Of `section.key`: `default`, `harness.toml:4`, `environment HARNESS_WORKERS` or `option --workers`."""
        return self._origins.get(name, DEFAULT)

    def _told(self, name: str) -> str:
        origin = self.origin(name)
        set_in_vain = name in WITHOUT_EFFECT and origin != DEFAULT
        return f"{origin}, without effect: {WITHOUT_EFFECT[name]}" if set_in_vain else origin

    def rows(self) -> list[tuple[str, str, str]]:
        """Every setting as (name, value, origin), the way `harness doctor --settings` shows them."""
        rows = [(name, _shown(value), self._told(name)) for name, value in _values(self)]
        return [*rows, *((name, os.environ.get(name) or "-", _ENVIRONMENT_ONLY[name]) for name in _ENVIRONMENT_ONLY)]


# What the environment calls a setting beside HARNESS_SECTION_KEY (and HARNESS_KEY for the section `harness`).
RUSTLE_VARIABLES: dict[str, str] = {
    "RUSTLE_E2E_DOCKER_NETWORK": "docker.network_name",
    "RUSTLE_E2E_CONTAINER_TIMEOUT": "docker.container_timeout_seconds",
    "RUSTLE_E2E_PRESERVE_CONTAINERS": "docker.cleanup_containers",
    "RUSTLE_E2E_PARALLEL_TESTS": "e2e_testing.max_parallel_tests",
    "RUSTLE_E2E_CLEANUP_ON_FAILURE": "e2e_testing.cleanup_on_failure",
    "RUSTLE_E2E_PERFORMANCE_BASELINE": "performance.baseline",
    "RUSTLE_E2E_FIXTURES_DIR": "fixtures.fixtures_dir",
    "RUSTLE_E2E_GENERATE_FIXTURES": "fixtures.generate_large_scale",
    "RUSTLE_E2E_MAX_TEST_HOSTS": "fixtures.max_hosts_for_testing",
}
_INVERTED = frozenset({"RUSTLE_E2E_PRESERVE_CONTAINERS"})
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
_ENVIRONMENT_ONLY = {"HARNESS_CACHE_DIR": "environment only: the cache folder"}
OPTIONS: dict[str, str] = {"harness.workers": "--workers", "snapshots.enabled": "--no-snapshot"}
"""The option that sets a setting, for `origin`."""


def load_settings(project: Path, options: Mapping[str, object] | None = None) -> Settings:
    """`options` maps `section.key` to what the command line says; None there means it says nothing.

    Raises InvalidInput with ALL that is wrong, in the file and in the environment.
    """
    reader = _Reader(project.absolute())
    reader.file()
    reader.environment(os.environ)
    reader.options(options or {})
    return reader.settings()


def variables() -> dict[str, str]:
    """Environment variable to setting, all of them; of two that set the same one the later wins."""
    own = {_variable(name): name for name, _ in _values(Settings())}
    return {**RUSTLE_VARIABLES, **own}


def _variable(name: str) -> str:
    section, key = name.split(".")
    return f"HARNESS_{key}".upper() if section == "harness" else f"HARNESS_{section}_{key}".upper()


def _values(settings: Settings) -> Iterator[tuple[str, Any]]:
    for section in type(settings).model_fields:
        model: BaseModel = getattr(settings, section)
        for key in type(model).model_fields:
            yield f"{section}.{key}", getattr(model, key)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "-"
    if isinstance(value, Target):
        return f"{value.arch}-{value.os}"
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


class _Reader:
    def __init__(self, project: Path) -> None:
        self.project = project
        self.what = "settings"
        self.data: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []

    def file(self) -> None:
        # Whatever else bears the name (a folder, a link that leads nowhere) is told, and not taken for nothing.
        path = next((self.project / name for name in FILES if os.path.lexists(self.project / name)), None)
        if path is None:
            return
        import tomllib

        self.what = display(path)
        text = read_text(path)
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidInput(self.what, [Problem(*_toml_fault(str(error), self.what, text))]) from error
        except (RecursionError, ValueError, OverflowError) as error:
            words = "nested too deep" if isinstance(error, RecursionError) else f"not TOML: {error}"
            raise InvalidInput(self.what, [Problem(self.what, words)]) from error
        lines = _toml_lines(text)
        for section, body in self.data.items():
            for key in (section, *(f"{section}.{key}" for key in (body if isinstance(body, dict) else ()))):
                self.origins[key] = f"{self.what}:{lines[key]}" if key in lines else self.what

    def environment(self, environment: Mapping[str, str]) -> None:
        known = variables()
        for variable, name in known.items():
            if variable in environment:
                self._from_variable(variable, name, environment[variable])
        sections = tuple(f"HARNESS_{section}_".upper() for section in Settings.model_fields if section != "harness")
        for variable in sorted(environment):
            if variable not in known and variable.startswith(("RUSTLE_E2E_", *sections)):
                near = nearest(variable, known)
                words = "there is no such setting" + (f"; did you mean {near}?" if near else "")
                self.problems.append(Problem(f"environment variable {variable}", words, "correct or unset it"))

    def _from_variable(self, variable: str, name: str, text: str) -> None:
        value: object = text
        if variable in _INVERTED and text.lower() in _TRUE | _FALSE:
            value = text.lower() in _FALSE
        elif name == "platforms.default_targets":
            value = _targets(text)
        self._set(name, value, f"environment {variable}")

    def options(self, options: Mapping[str, object]) -> None:
        for name, value in options.items():
            if value is not None:
                self._set(name, value, f"option {OPTIONS[name]}" if name in OPTIONS else "option")

    def _set(self, name: str, value: object, origin: str) -> None:
        section, key = name.split(".")
        body = self.data.setdefault(section, {})
        if isinstance(body, dict):  # a section of the wrong type is reported as such
            body[key] = value
            self.origins[name] = origin

    def settings(self) -> Settings:
        try:
            settings = Settings.model_validate(self.data)
        except ValidationError as error:
            self.problems += problems_of(error, self.data, model=Settings, where=self._where)
            raise InvalidInput(self.what, self.problems) from error
        if self.problems:
            raise InvalidInput(self.what, self.problems)
        folder = settings.fixtures.fixtures_dir
        if folder is not None:
            fixtures = settings.fixtures.model_copy(update={"fixtures_dir": self.project / folder})
            settings = settings.model_copy(update={"fixtures": fixtures})
        settings._origins.update(self.origins)
        return settings

    def _where(self, keys: Keys) -> str:
        name = ".".join(str(key) for key in keys[:2])
        origin = self.origins.get(name) or self.origins.get(str(keys[0]) if keys else "") or self.what
        return f"{origin}: {path_text(keys)}" if keys else origin


def _targets(text: str) -> object:
    """`x86_64-linux,aarch64-linux`."""
    parts = [part.strip().rpartition("-") for part in text.split(",") if part.strip()]
    return [{"arch": arch, "os": os_name} for arch, _, os_name in parts]


def _toml_fault(words: str, what: str, text: str) -> tuple[str, str]:
    """tomllib ends its message with `(at line 3, column 5)` or `(at end of document)`."""
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", words)
    if match is None:
        return what, f"not TOML: {words}"
    line = match.group(1) or text.rstrip().count("\n") + 1
    return f"{what}:{line}", f"not TOML: {words[: match.start()]}"


def _toml_lines(text: str) -> dict[str, int]:
    """The line of each `[section]` and of each `section.key`; tomllib tells none. Only for messages: a key in a
    form that is not met here (quoted, dotted over several tables) has none."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.split("\n"), start=1):
        header = re.match(r"\s*\[\s*([\w-]+)\s*\]", line)
        key = re.match(r"\s*([\w-]+)(?:\s*\.\s*([\w-]+))?\s*=", line)
        if header:
            section = header.group(1)
            found.setdefault(section, number)
        elif key:
            name = ".".join(part for part in (section, *key.groups()) if part)
            found.setdefault(name, number)
    return found
