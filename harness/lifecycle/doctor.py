"""What this machine can do, and what is missing."""

from __future__ import annotations

import platform as machine
from dataclasses import dataclass, field

from harness import __version__, registry
from harness.drivers.base import Driver
from harness.errors import HarnessError, Problem


@dataclass(frozen=True)
class Finding:
    """`kind`: driver or compiler."""

    kind: str
    name: str
    works: bool
    problems: tuple[Problem, ...] = ()
    detail: str = ""
    limits: tuple[Problem, ...] = ()
    """What of it does not work as it should, though it works."""


@dataclass(frozen=True)
class Diagnosis:
    """`versions` of what we stand on; `cache` is the shared folder."""

    findings: tuple[Finding, ...]
    versions: dict[str, str]
    cache: str
    default: tuple[str, str] = ("native", "reference")
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether the embedded default (the first driver and compiler a scenario gets) works here."""
        works = {(finding.kind, finding.name): finding.works for finding in self.findings}
        driver, compiler = self.default
        return works.get(("driver", driver), False) and works.get(("compiler", compiler), False)


def diagnose() -> Diagnosis:
    """Ask every driver and compiler. No side effects but the cache folder, and a platform that is gone at the end."""
    findings = [_driver(name) for name in registry.names(registry.DRIVERS)]
    findings += [_compiler(name) for name in registry.names(registry.COMPILERS)]
    return Diagnosis(tuple(findings), _versions(), _cache())


def _driver(name: str) -> Finding:
    try:
        driver = registry.driver(name)
        problems = tuple(driver.diagnose())
    except HarnessError as error:
        return Finding("driver", name, False, (Problem("", error.message, error.hint),))
    capabilities = ", ".join(sorted(capability.value for capability in driver.capabilities))
    limits = () if problems else tuple(_limits(driver))
    return Finding("driver", name, not problems, problems, capabilities, limits)


def _limits(driver: Driver) -> list[Problem]:
    from harness.lifecycle.units import tried

    try:
        return [*driver.limits(), *tried(driver)]
    except HarnessError as error:
        return [Problem("", error.message, error.hint)]


def _compiler(name: str) -> Finding:
    from harness.compile import host_target

    try:
        target = host_target()
        problems = tuple(registry.compiler(name).diagnose(target))
    except HarnessError as error:
        return Finding("compiler", name, False, (Problem("", error.message, error.hint),))
    return Finding("compiler", name, not problems, problems, target)


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"harness": __version__, "python": machine.python_version(), "system": machine.platform()}
    for package in ("pytest", "pytest-testinfra", "pydantic", "rich"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def _cache() -> str:
    from harness.cache import cache_dir

    try:
        return str(cache_dir())
    except HarnessError as error:
        return f"unusable: {error.message}"
