"""molecule.yml to Scenario: read, judge, fill in."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from harness.drivers.base import PlatformSpec, ScenarioRef
from harness.errors import InvalidInput, Problem
from harness.models.config import PerformanceThreshold
from harness.models.fault import Fault
from harness.models.problems import Keys, nearest, places_of, problems_of, shown
from harness.models.scenario import (
    CompareSettings,
    Inventory,
    Provisioner,
    Scenario,
    SecretSource,
    StageExpectation,
    Verifier,
)
from harness.scenario.ansible import AnsibleReader, misspelt_provisioner
from harness.scenario.checks import read_checks
from harness.scenario.compare import CompareReader
from harness.scenario.compilers import CompilerReader
from harness.scenario.faults import FaultReader
from harness.scenario.file import (
    BinaryFile,
    BinaryProvisioner,
    DriverSection,
    VerifierSection,
)
from harness.scenario.inventory import InventoryReader, with_groups
from harness.scenario.layers import Layers, Overrides, read_layers
from harness.scenario.molecule_file import AnsibleFile
from harness.scenario.nodes import Node
from harness.scenario.platforms import PlatformReader, with_settings
from harness.scenario.project import FILE, scenario_directory
from harness.scenario.sequences import sequences_of, step_fault
from harness.scenario.settings import Settings
from harness.scenario.source import display, is_file, is_folder

EXPECTED = "expected.json"
_STAGES: tuple[Literal["prepare", "cleanup"], ...] = ("prepare", "cleanup")
_SUFFIXES = (".json", ".sh")
_MAX_ATTEMPTS = 8
_PROVISIONERS = ("binary", "ansible")
ANSIBLE_SECONDS = 4 * 3600.0
"""Molecule sets no limit; a run that hangs ends all the same."""

File = TypeVar("File", BinaryFile, AnsibleFile)


def load_scenario(project: Path, name: str, *, settings: Settings, overrides: Overrides | None = None) -> Scenario:
    """The scenario `name` of a project. Raises UsageError where there is none of that name, InvalidInput with ALL
    that is wrong with its files."""
    overrides = overrides or Overrides()
    project = project.absolute()
    directory = scenario_directory(project, name)
    ref = ScenarioRef(project, name, directory)
    return _Loader(ref, read_layers(ref, overrides), settings, overrides).load()


class _Loader:
    def __init__(self, ref: ScenarioRef, layers: Layers, settings: Settings, overrides: Overrides) -> None:
        self.ref = ref
        self.root: Node = layers.root
        self.molecule = layers.molecule
        self.problems = list(layers.problems)
        self.warnings = list(layers.warnings)
        self.settings = settings
        self.overrides = overrides
        self.compilers = CompilerReader(ref.directory, layers.root.where)
        self.data: Any = layers.root.plain()

    def load(self) -> Scenario:
        if not isinstance(self.data, dict):
            self._problem((), f"should be a mapping, not {shown(self.data)}")
            raise self._invalid()
        if (misspelt := misspelt_provisioner(self.data)) is not None:
            self._problem((misspelt[0],), misspelt[1])
            raise self._invalid()
        scenario = self._binary() if self._provisioner_name() == "binary" else self._ansible()
        if self.problems or scenario is None:
            raise self._invalid()
        return replace(scenario, warnings=tuple(self.warnings))

    def _provisioner_name(self) -> str:
        """`binary` or `ansible`; Molecule's where nothing is said."""
        section = self.data.get("provisioner")
        name = section.get("name", "ansible") if isinstance(section, dict) else "ansible"
        if name in _PROVISIONERS:
            return str(name)
        near = nearest(name, _PROVISIONERS) if isinstance(name, str) else None
        words = f"should be {' or '.join(_PROVISIONERS)}, not {shown(name)}"
        self._problem(("provisioner", "name"), words + (f"; did you mean {near}?" if near else ""))
        # The rest of the file is judged as ours, which is what its author most likely meant.
        self.data = {**self.data, "provisioner": {**section, "name": "binary"}}
        return "binary"

    def _validated(self, model: type[File]) -> File | None:
        """What is wrong is noted, then left out, so that what is wrong with the rest by its meaning is found, too."""
        data = self.data
        for attempt in range(_MAX_ATTEMPTS):
            try:
                return model.model_validate(data)
            except ValidationError as error:
                if attempt == 0:
                    self.problems += problems_of(error, data, model=model, where=self.root.where)
                places = places_of(error, data)
                if () in places:
                    return None
                data = _without(data, places)
        return None

    # --- provisioner: binary ---------------------------------------------------------------------------------------

    def _binary(self) -> Scenario | None:
        file = self._validated(BinaryFile)
        if file is None:
            return None
        driver = file.driver
        if self.overrides.driver is not None and self.overrides.driver != driver.name:
            driver = DriverSection(name=self.overrides.driver)
        reader = PlatformReader(driver, self.root.where)
        platforms = reader.read(file.platforms)
        inventory = InventoryReader([platform.name for platform in platforms], self.root.where)
        variables = inventory.read(file.provisioner.inventory)
        provisioner = self._provisioner(file.provisioner, variables, platforms)
        comparing = CompareReader(self.root.where, self.compilers)
        compare = comparing.read(file.compare)
        self.problems += reader.problems + inventory.problems + self.compilers.problems + comparing.problems
        return self._scenario(
            file,
            driver=driver.name,
            platforms=with_groups(platforms, inventory.members),
            provisioner=provisioner,
            verifier=self._verifier(file.verifier, default="testinfra"),
            compare=compare,
        )

    def _provisioner(
        self, section: BinaryProvisioner, inventory: Inventory, platforms: Sequence[PlatformSpec]
    ) -> Provisioner:
        stages = {stage: self._stage(stage, getattr(section, stage)) for stage in _STAGES}
        side_effect, faults = self._side_effects(section, platforms)
        plan = self._path(section.plan.path)
        if not is_file(plan):
            self._problem(("provisioner", "plan"), f"there is no file {display(plan)}")
        return Provisioner(
            name="binary",
            plan=plan,
            validate_plan=section.plan.validate_,
            strategy=section.strategy,
            compiler=self.compilers.read(section.compiler, ("provisioner", "compiler")),
            inventory=inventory,
            secrets={
                name: SecretSource(env=secret.env, file=None if secret.file is None else self._path(secret.file))
                for name, secret in section.secrets.items()
            },
            env=section.env,
            tags=tuple(section.tags),
            skip_tags=tuple(section.skip_tags),
            prepare=stages["prepare"],
            side_effect=side_effect,
            faults=faults,
            cleanup=stages["cleanup"],
        )

    def _side_effects(
        self, section: BinaryProvisioner, platforms: Sequence[PlatformSpec]
    ) -> tuple[Path | None, tuple[Fault, ...]]:
        reader = FaultReader(platforms, self.root.where)
        files, faults = [], []
        for index, item in enumerate(section.side_effect):
            if isinstance(item, str):
                files.append(item)
            else:
                faults.append(reader.read(item.fault, ("provisioner", "side_effect", index, "fault")))
        self.problems += reader.problems
        if len(files) > 1:
            self._problem(("provisioner", "side_effect"), f"one file is enough, not {' and '.join(files)}")
        file = self._stage("side_effect", files[0] if files else None)
        return file, tuple(fault for fault in faults if fault is not None)

    def _stage(self, stage: str, written: str | None) -> Path | None:
        """The plan or script of a stage: what the file names, else STAGE.json or STAGE.sh beside it."""
        at = ("provisioner", stage)
        if written is not None:
            path = self._path(written)
            if path.suffix not in _SUFFIXES:
                self._problem(at, f"should be a plan (.json) or a shell script (.sh), not {shown(written)}")
            elif not is_file(path):
                self._problem(at, f"there is no file {display(path)}")
            return path
        found = [path for suffix in _SUFFIXES if is_file(path := self.ref.directory / f"{stage}{suffix}")]
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            self._problem(("provisioner",), f"both {names} are there; `{stage}:` says which one is meant")
        return found[0] if found else None

    # --- provisioner: ansible --------------------------------------------------------------------------------------

    def _ansible(self) -> Scenario | None:
        file = self._validated(AnsibleFile)
        if file is None:
            return None
        reader = AnsibleReader(self.ref, file, self.root.where, self.overrides.driver)
        platforms, provisioner = reader.read(self.data, self.molecule)
        self.problems += reader.problems
        self.warnings += reader.warnings
        return self._scenario(
            file,
            driver=reader.driver,
            platforms=platforms,
            provisioner=provisioner,
            verifier=self._verifier(file.verifier, default="ansible"),
            timeout=ANSIBLE_SECONDS,
        )

    # --- both ------------------------------------------------------------------------------------------------------

    def _scenario(
        self,
        file: BinaryFile | AnsibleFile,
        *,
        driver: str,
        platforms: tuple[PlatformSpec, ...],
        provisioner: Provisioner,
        verifier: Verifier,
        timeout: float | None = None,
        compare: CompareSettings | None = None,
    ) -> Scenario:
        self._check_steps(file)
        self._check_collect(file.collect)
        name = file.scenario.name
        if name is not None and name != self.ref.name:
            place = self.root.where(("scenario", "name"))
            self.warnings.append(Problem(place, f"the scenario is named after its folder: {self.ref.name}"))
        return Scenario(
            ref=self.ref,
            driver=driver,
            platforms=with_settings(platforms, self.settings),
            provisioner=provisioner,
            verifier=verifier,
            sequences=sequences_of(file.scenario),
            category=file.scenario.category,
            timeout_seconds=file.scenario.timeout_seconds
            or timeout
            or self.settings.e2e_testing.default_timeout_seconds,
            performance=self._performance(file),
            baseline=self.settings.performance.baseline,
            baseline_timeout=self.settings.performance.baseline_ssh_timeout,
            expect=StageExpectation(file.expect.stage, file.expect.error) if file.expect else None,
            compare=compare or CompareSettings(),
            collect=tuple(file.collect),
        )

    def _performance(self, file: BinaryFile | AnsibleFile) -> PerformanceThreshold | None:
        """The scenario's own limits; where it is silent, those of the settings."""
        defaults = self.settings.performance
        limits: dict[str, float | None] = {
            "max_binary_size_mb": defaults.max_binary_size_mb,
            "min_improvement_factor": defaults.min_improvement_factor,
        }
        if file.performance is not None:
            limits |= file.performance.model_dump(exclude_none=True)
        return PerformanceThreshold(**limits) if any(value is not None for value in limits.values()) else None

    def _verifier(self, section: VerifierSection, *, default: Literal["testinfra", "ansible"]) -> Verifier:
        expected = self._expected(section.expected)
        name = section.name or default
        if default == "testinfra" and name != "testinfra":
            self._problem(("verifier", "name"), "provisioner binary is verified by testinfra, not by ansible")
        directory = self._path(section.directory)
        complain = self._problem if default == "testinfra" else self._warn  # Molecule finds no tests, and goes on
        if "directory" in section.model_fields_set and not is_folder(directory):
            complain(("verifier", "directory"), f"there is no folder {display(directory)}")
        return Verifier(
            name=name,
            directory=directory,
            expected=expected,
            expected_outcomes=self._outcomes(expected),
            derive_from_plan=section.derive_from_plan,
            checks=read_checks(section.checks, self._problem),
            options=section.options,
            env=section.env,
            enabled=section.enabled,
            additional_files_or_dirs=tuple(self._additional(directory, section.additional_files_or_dirs, complain)),
        )

    def _expected(self, written: str | None) -> Path | None:
        if written is None:
            path = self.ref.directory / EXPECTED
            return path if is_file(path) else None
        path = self._path(written)
        if not is_file(path):
            self._problem(("verifier", "expected"), f"there is no file {display(path)}")
            return None
        return path

    def _outcomes(self, path: Path | None) -> tuple[Any, ...]:
        if path is None:
            return ()
        from harness.scenario.outcomes import read_outcomes

        try:
            return tuple(read_outcomes(path).expected_outcomes)
        except InvalidInput as error:
            self.problems += error.problems
            return ()

    def _additional(
        self, directory: Path, patterns: Sequence[str], complain: Callable[[Keys, str], None]
    ) -> list[Path]:
        """Relative to the tests' folder, globs allowed, as Molecule's testinfra verifier takes them."""
        found: list[Path] = []
        for index, pattern in enumerate(patterns):
            matches = _matches(directory, pattern)
            if not matches:
                at = ("verifier", "additional_files_or_dirs", index)
                complain(at, f"nothing matches {shown(pattern)} in {display(directory)}")
            found += matches
        return found

    def _check_steps(self, file: BinaryFile | AnsibleFile) -> None:
        for key in file.scenario.model_fields_set:
            steps = getattr(file.scenario, key)
            if key.endswith("_sequence") and steps is not None:
                for index, step in enumerate(steps):
                    fault = step_fault(step, arguments=isinstance(file, AnsibleFile))
                    if fault is not None:
                        self._problem(("scenario", key, index), fault)

    def _check_collect(self, paths: Sequence[str]) -> None:
        for index, path in enumerate(paths):
            if not (PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()):
                self._problem(("collect", index), f"should be an absolute path on the platform, not {shown(path)}")

    def _path(self, written: str) -> Path:
        """Relative paths are taken from the scenario's folder; `~` is the user's home."""
        path = Path(written)
        with suppress(RuntimeError):  # ~nobody-of-that-name
            path = path.expanduser()
        return self.ref.directory / path

    def _problem(self, keys: Keys, words: str) -> None:
        self.problems.append(Problem(self.root.where(keys), words))

    def _warn(self, keys: Keys, words: str) -> None:
        self.warnings.append(Problem(self.root.where(keys), words))

    def _invalid(self) -> InvalidInput:
        """A variable that is not set may be why its line is wrong."""
        lines = {_by_line(problem) for problem in self.problems}
        found = [*self.problems, *(warning for warning in self.warnings if _by_line(warning) in lines)]
        return InvalidInput(display(self.ref.directory / FILE), sorted(found, key=_by_line))


def _by_line(problem: Problem) -> tuple[str, int]:
    match = re.match(r"(.*?):(\d+)", problem.where)
    return (match.group(1), int(match.group(2))) if match else (problem.where, 0)


def _without(data: Any, places: Sequence[Keys]) -> Any:
    """A copy that lacks these values. A platform keeps its place, lest the others' indexes change."""
    data = copy.deepcopy(data)
    for keys in sorted(set(places), key=lambda keys: [str(key).zfill(9) for key in keys], reverse=True):
        owner = data
        for key in keys[:-1]:
            owner = owner[key]
        if keys[:-1] == ("platforms",):
            written = owner[keys[-1]]
            owner[keys[-1]] = {"name": f"unnamed-{keys[-1]}", **(written if isinstance(written, dict) else {})}
        else:
            del owner[keys[-1]]
    return data


def _matches(directory: Path, pattern: str) -> list[Path]:
    plain = directory / pattern
    if is_file(plain) or is_folder(plain):
        return [plain]
    try:
        return sorted(directory.glob(pattern))
    except (ValueError, NotImplementedError, OSError):
        return []
