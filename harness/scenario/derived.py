"""Scenarios that no molecule.yml describes: an E2ETestConfig of specification 110, and a fixture.

Each host of the plan gets one platform of its name.
"""

from __future__ import annotations

import platform as machine
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.drivers.base import NO_NAME, PlatformSpec, ScenarioRef, is_name
from harness.errors import InvalidInput, Problem
from harness.models.config import VM, Docker, E2ETestConfig, PerformanceThreshold, TargetPlatform
from harness.models.plan import Plan
from harness.models.problems import Keys, path_text, problems_of, shown
from harness.models.scenario import Provisioner, Scenario, Verifier
from harness.scenario.file import DriverSection, PlatformSection
from harness.scenario.outcomes import Outcomes, check_outcomes, impossible, misspelt, near_misses
from harness.scenario.platforms import ALIASES, PlatformReader, with_settings
from harness.scenario.sequences import DEFAULTS
from harness.scenario.settings import Settings
from harness.scenario.source import display, is_file


def scenario_from_config(path: Path, settings: Settings) -> Scenario:
    """The scenario that an E2ETestConfig file asks for. Raises InvalidInput with all that is wrong with it."""
    from harness.plan import read_plan

    path = path.absolute()
    config = _read_config(path)
    plan_path = _plan_of(config, path)
    plan = read_plan(plan_path)
    problems = check_outcomes(config.expected_outcomes, plan, source=path)
    platforms = _platforms_of(config, plan, path, problems)
    if problems:
        raise InvalidInput(display(path), problems)
    return _scenario(
        ScenarioRef(path, _name_of(config.test_name) or path.stem, path.parent),
        settings,
        platforms=platforms,
        provisioner=Provisioner(name="binary", plan=plan_path, strategy=config.deployment_strategy),
        # A folder of the config's own: `tests` beside it may well hold the project's unit tests.
        verifier=Verifier(
            name="testinfra",
            directory=path.with_name(f"{path.stem}_tests"),
            expected_outcomes=tuple(config.expected_outcomes),
        ),
        timeout_seconds=float(config.timeout_seconds),
    )


def scenario_from_fixture(name: str, driver: str | None, settings: Settings) -> Scenario:
    """The scenario of a fixture, on platforms of `driver` (None: native). Raises UsageError where there is no such
    fixture, InvalidInput with all that is wrong with it."""
    from harness.plan import read_plan
    from harness.scenario.fixtures import TestFixtureManager

    manager = TestFixtureManager(settings.fixtures.fixtures_dir)
    plan_path, outcomes_path = manager.plan_path(name), manager.outcomes_path(name)
    outcomes = manager.outcomes(name)
    plan = read_plan(plan_path)
    problems = check_outcomes(outcomes.expected_outcomes, plan, source=outcomes_path or plan_path)
    source = display(outcomes_path or plan_path)
    sections = [_fixture_section(host, outcomes, source) for host in plan.hosts]
    platforms = _specs(driver or "native", sections, source, problems, usual_images=True)
    if problems:
        raise InvalidInput(display(plan_path), problems)
    # The cwd's project keeps the runs; the shipped fixtures may lie in a folder that is not ours to write to.
    return _scenario(
        ScenarioRef(Path.cwd(), _name_of(plan_path.stem), plan_path.parent),
        settings,
        platforms=platforms,
        provisioner=Provisioner(name="binary", plan=plan_path, prepare=manager.prepare_path(name)),
        verifier=Verifier(
            name="testinfra",
            directory=plan_path.parent / f"{plan_path.stem}_tests",
            expected=outcomes_path,
            expected_outcomes=tuple(outcomes.expected_outcomes),
        ),
        timeout_seconds=settings.e2e_testing.default_timeout_seconds,
        category=outcomes.category,
    )


def _scenario(
    ref: ScenarioRef,
    settings: Settings,
    *,
    platforms: Sequence[PlatformSpec],
    provisioner: Provisioner,
    verifier: Verifier,
    timeout_seconds: float,
    category: str | None = None,
) -> Scenario:
    limits = settings.performance.model_dump(
        include={"min_improvement_factor", "max_binary_size_mb"}, exclude_none=True
    )
    return Scenario(
        ref=ref,
        driver=platforms[0].driver if platforms else "native",
        platforms=with_settings(platforms, settings),
        provisioner=provisioner,
        verifier=verifier,
        sequences=dict(DEFAULTS),
        category=category,
        timeout_seconds=timeout_seconds,
        performance=PerformanceThreshold(**limits) if limits else None,
        baseline=settings.performance.baseline,
        baseline_timeout=settings.performance.baseline_ssh_timeout,
    )


def _read_config(path: Path) -> E2ETestConfig:
    from harness.plan.document import read_document

    value = read_document(path).value

    def where(keys: Keys) -> str:
        return f"{display(path)}: {path_text(keys)}" if keys else display(path)

    problems = [Problem(where(keys), words) for keys, words in _misspelt(value)]
    try:
        config = E2ETestConfig.model_validate(value)
    except ValidationError as error:
        problems += problems_of(error, value, model=E2ETestConfig, where=where)
        raise InvalidInput(display(path), problems) from error
    found = [*impossible(Outcomes(expected_outcomes=config.expected_outcomes)), *_unusable(config)]
    problems += [Problem(where(keys), words) for keys, words in found]
    if problems:
        raise InvalidInput(display(path), problems)
    return config


def _misspelt(value: object) -> Iterable[tuple[Keys, str]]:
    if isinstance(value, Mapping):
        yield from near_misses(value, E2ETestConfig, ())
        if "expected_outcomes" in value:
            yield from misspelt({"expected_outcomes": value["expected_outcomes"]})
        targets = value.get("target_platforms")
        for index, target in enumerate(targets if isinstance(targets, list) else ()):
            if isinstance(target, Mapping):
                yield from near_misses(target, TargetPlatform, ("target_platforms", index))


def _unusable(config: E2ETestConfig) -> Iterable[tuple[Keys, str]]:
    if not config.target_platforms:
        yield ("target_platforms",), "there must be at least one"
    if config.timeout_seconds <= 0:
        yield ("timeout_seconds",), f"should be more than 0, not {config.timeout_seconds}"
    for index, target in enumerate(config.target_platforms):
        if isinstance(target.environment, Docker) and not config.use_containers:
            yield ("target_platforms", index, "environment"), "is Docker, and use_containers is false"
        named = target.environment.snapshot if isinstance(target.environment, VM) else None
        if named and not is_name(named):
            yield ("target_platforms", index, "environment", "VM", "snapshot"), f"{shown(named)} is {NO_NAME}"


def _plan_of(config: E2ETestConfig, path: Path) -> Path:
    """Relative to the config; the specification's own examples are relative to the current folder."""
    tried = [path.parent / config.execution_plan_path, Path.cwd() / config.execution_plan_path]
    found = next((candidate for candidate in tried if is_file(candidate)), None)
    if found is None:
        words = f"there is no file {shown(config.execution_plan_path)}, neither beside the config nor in {Path.cwd()}"
        raise InvalidInput(display(path), [Problem(f"{display(path)}: execution_plan_path", words)])
    return found


def _platforms_of(config: E2ETestConfig, plan: Plan, path: Path, problems: list[Problem]) -> list[PlatformSpec]:
    wanted = _requirements(plan)
    platforms = []
    for host in plan.hosts:
        target = _fitting(config.target_platforms, wanted.get(host))
        if target is None:
            arch, os_name = wanted[host]
            words = f"none fits the host {shown(host)}, which the plan compiles for {arch} {os_name}"
            problems.append(Problem(f"{display(path)}: target_platforms", words))
            continue
        driver, section = _section(host, target)
        platforms += _specs(driver, [section], display(path), problems)
    return platforms


def _requirements(plan: Plan) -> dict[str, tuple[str, str]]:
    """Architecture and system of the hosts for which the plan names them (`binary_deployments`)."""
    found: dict[str, tuple[str, str]] = {}
    for deployment in plan.binary_deployments:
        if not isinstance(deployment, dict):
            continue
        needs, hosts = deployment.get("compilation_requirements"), deployment.get("target_hosts")
        if isinstance(needs, dict) and isinstance(hosts, list):
            target = (needs.get("target_arch"), needs.get("target_os"))
            if isinstance(target[0], str) and isinstance(target[1], str):
                found |= {host: (target[0], target[1]) for host in hosts if isinstance(host, str)}
    return found


def _fitting(targets: Sequence[TargetPlatform], wanted: tuple[str, str] | None) -> TargetPlatform | None:
    """The first that fits; for a host that could be any, the first that is like this machine, else the first."""
    here = (machine.machine(), sys.platform)
    goal = _plain(*(wanted or here))
    fits: Callable[[TargetPlatform], bool] = lambda target: _plain(target.arch, target.os) == goal  # noqa: E731
    found = next(filter(fits, targets), None)
    return found if found is not None or wanted is not None else targets[0]


def _plain(arch: str, os_name: str) -> tuple[str, str]:
    arch, os_name = arch.lower(), os_name.lower()
    return ALIASES.get(arch, arch), ALIASES.get(os_name, os_name)


def _section(host: str, target: TargetPlatform) -> tuple[str, PlatformSection]:
    keys: dict[str, Any] = {"name": host, "arch": target.arch, "os": target.os}
    environment = target.environment
    if isinstance(environment, Docker):
        volumes = {"volumes": environment.volumes} if environment.volumes else {}
        return "docker", PlatformSection(**keys, image=environment.image, **volumes)
    if isinstance(environment, VM):
        snapshot = {"snapshot": environment.snapshot} if environment.snapshot else {}
        return "libvirt", PlatformSection(**keys, image=environment.image, **snapshot)
    return "native", PlatformSection(**keys)


def _fixture_section(host: str, outcomes: Outcomes, source: str) -> PlatformSection:
    data = {**outcomes.platform, "name": host}
    try:
        return PlatformSection.model_validate(data)
    except ValidationError as error:
        found = problems_of(
            error, data, model=PlatformSection, where=lambda keys: f"{source}: platform.{path_text(keys)}"
        )
        raise InvalidInput(source, found) from error


def _specs(
    driver: str,
    sections: Sequence[PlatformSection],
    source: str,
    problems: list[Problem],
    *,
    usual_images: bool = False,
) -> list[PlatformSpec]:
    def where(keys: Keys) -> str:
        if keys[:1] == ("platforms",) and isinstance(keys[1], int):
            rest = path_text(keys[2:])
            return f"{source}: host {sections[keys[1]].name}" + (f": {rest}" if rest else "")
        return source

    reader = PlatformReader(DriverSection(name=driver), where, usual_images=usual_images)
    specs = reader.read(sections)
    problems += [problem for problem in reader.problems if problem not in problems]
    return specs


def _name_of(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60]
