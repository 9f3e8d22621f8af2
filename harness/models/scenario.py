"""A scenario as it was loaded: layered, interpolated, validated. `harness.scenario` makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from harness.drivers.base import PlatformSpec, ScenarioRef
from harness.errors import Problem
from harness.models.config import BinaryOnly, DeploymentStrategy, ExpectedOutcome, PerformanceThreshold
from harness.models.fault import Fault
from harness.models.serde import StrictModel


@dataclass(frozen=True)
class SecretSource:
    """Where a secret's value comes from: an environment variable or a file (one of them)."""

    env: str | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Inventory:
    """Molecule's `provisioner.inventory`: what adds variables to hosts and groups."""

    hosts_vars: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    group_vars: dict[str, dict[str, JsonValue]] = field(default_factory=dict)


@dataclass(frozen=True)
class CompilerChoice:
    """`options` are of the compiler's own model; relative paths in them are meant from `folder`."""

    name: str = "reference"
    options: StrictModel | None = None
    folder: Path = Path()


@dataclass(frozen=True)
class Dependency:
    """Molecule's `dependency`: what is fetched before anything is created. `galaxy` or `shell`."""

    name: Literal["galaxy", "shell"] = "galaxy"
    enabled: bool = True
    command: str | None = None
    options: dict[str, JsonValue] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AnsibleSettings:
    """How Ansible is run, as Molecule's `provisioner` says it; all paths absolute."""

    shared_state: bool = False
    """The scenario `default` makes and destroys the platforms of all (harness.lifecycle.shared)."""
    playbooks: dict[str, Path] = field(default_factory=dict)
    """By step (`create`, `prepare`, `converge`, `side_effect`, `verify`, `cleanup`, `destroy`); those that exist."""
    config_options: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    """Sections of ansible.cfg."""
    connection_options: dict[str, JsonValue] = field(default_factory=dict)
    """Variables of every host."""
    options: dict[str, JsonValue] = field(default_factory=dict)
    """Command-line options of ansible-playbook, without their hyphens."""
    ansible_args: tuple[str, ...] = ()
    hosts: dict[str, JsonValue] = field(default_factory=dict)
    """`provisioner.inventory.hosts`: an inventory as Ansible's YAML has it, beside the platforms' own."""
    links: dict[str, Path] = field(default_factory=dict)
    """`hosts`, `group_vars`, `host_vars`: taken from here in place of what molecule.yml says."""
    children: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The groups below a group, from the platforms' `children`; their members are in the platforms' groups, too."""
    dependency: Dependency = Dependency()
    prerun: bool = True
    role_name_check: int = 1
    """Whether a role's name that Galaxy would refuse is an error (0), deserves a word (1), or is not looked at (2)."""
    log: bool = True
    driver: str = "default"
    """As Molecule calls it (`podman`, `delegated`), where `Scenario.driver` is ours."""
    managed: bool = True
    """Without it the driver `default` neither creates nor destroys: the machines are there."""
    driver_connection_options: dict[str, JsonValue] = field(default_factory=dict)
    """`driver.options.ansible_connection_options`: variables of every host of a driver that is not managed."""
    login_cmd_template: str | None = None
    ssh_connection_options: tuple[str, ...] = ()
    safe_files: tuple[str, ...] = ()
    """Patterns of files in the ephemeral folder that outlive `destroy`."""
    ephemeral: Path = Path()
    """MOLECULE_EPHEMERAL_DIRECTORY; it need not exist yet."""
    environment: dict[str, str] = field(default_factory=dict)
    """Molecule's own variables (MOLECULE_*), for playbooks, tests and shell commands; `env` is the user's."""
    document: dict[str, JsonValue] = field(default_factory=dict)
    """molecule.yml with all defaults, as playbooks read it from MOLECULE_FILE (`molecule_yml`)."""


@dataclass(frozen=True)
class Provisioner:
    """`plan` is an absolute path. `prepare`, `side_effect` and `cleanup` are each a plan (`.json`, run by the
    reference compiler's runner) or a shell script (`.sh`, run on every platform); None where there is none."""

    name: Literal["binary", "ansible"]
    plan: Path | None = None
    validate_plan: bool = True
    strategy: DeploymentStrategy | None = None
    compiler: CompilerChoice = CompilerChoice()
    inventory: Inventory = Inventory()
    secrets: dict[str, SecretSource] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    prepare: Path | None = None
    side_effect: Path | None = None
    faults: tuple[Fault, ...] = ()
    cleanup: Path | None = None
    ansible: AnsibleSettings | None = None
    """Set where `name` is `ansible`."""


@dataclass(frozen=True)
class ConductChecks:
    """Which checks of a run's conduct are made, by id; docs/checks.md. `touches`: by task id, patterns of paths that a
    task is declared to touch; `allowed`: patterns of what may change without a task, each with the reason."""

    wanted: frozenset[str] | None = None
    """The cheap ones when None."""
    touches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    allowed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verifier:
    """`directory` holds the testinfra tests (absolute; it may be missing), `expected` the ExpectedOutcome file.
    Without `enabled` the step `verify` is skipped."""

    name: Literal["testinfra", "ansible"]
    directory: Path
    expected: Path | None = None
    expected_outcomes: tuple[ExpectedOutcome, ...] = ()
    derive_from_plan: bool = True
    checks: ConductChecks = ConductChecks()
    options: dict[str, JsonValue] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    additional_files_or_dirs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class StageExpectation:
    """`expect:` passes only if that stage fails with words that match `error` (re.search)."""

    stage: Literal["validate", "compile", "push", "run"]
    error: str


@dataclass(frozen=True)
class CompareSide:
    """A way to run the plan; what is None is as the scenario has it."""

    compiler: CompilerChoice | None = None
    strategy: DeploymentStrategy | None = None


@dataclass(frozen=True)
class Allowance:
    """Differences that are no fault. `kind` and `name` (a glob) say of what; `field`, `host` (globs) and `side` narrow
    it down; what is None holds for all. `where`: its place in the file."""

    reason: str
    where: str
    kind: str | None = None
    name: str | None = None
    field: str | None = None
    host: str | None = None
    side: str | None = None


@dataclass(frozen=True)
class CompareSettings:
    """What `harness compare` is told by the scenario."""

    sides: dict[str, CompareSide] = field(default_factory=dict)
    allow: tuple[Allowance, ...] = ()


@dataclass(frozen=True)
class Scenario:
    ref: ScenarioRef
    driver: str
    """The default driver; a platform may name another."""
    platforms: tuple[PlatformSpec, ...]
    provisioner: Provisioner
    verifier: Verifier
    sequences: dict[str, tuple[str, ...]]
    """By verb (`test`, `converge`, ...): the steps as Molecule names them."""
    category: str | None = None
    timeout_seconds: float = 300.0
    performance: PerformanceThreshold | None = None
    baseline: bool = False
    """`test` runs the plan by Ansible, too, for at most `baseline_timeout` seconds."""
    baseline_timeout: float = 600.0
    expect: StageExpectation | None = None
    compare: CompareSettings = CompareSettings()
    collect: tuple[str, ...] = ()
    """Absolute paths on the platforms (globs allowed), fetched before destroy when something failed."""
    warnings: tuple[Problem, ...] = ()
    """What is no error and still deserves a word, such as a variable that is not set."""

    @property
    def name(self) -> str:
        return self.ref.name

    def groups(self) -> dict[str, list[str]]:
        """Group name to platform names, `all` included."""
        groups: dict[str, list[str]] = {"all": [platform.name for platform in self.platforms]}
        for platform in self.platforms:
            for group in platform.groups:
                groups.setdefault(group, []).append(platform.name)
        return groups

    def strategy(self, platform: str) -> DeploymentStrategy:
        """How the plan reaches this platform."""
        own = next((spec.strategy for spec in self.platforms if spec.name == platform), None)
        return own or self.provisioner.strategy or BinaryOnly()

    def by_ansible(self) -> list[str]:
        """The platforms whose strategy lets Ansible do what the compiler does not honour."""
        return [spec.name for spec in self.platforms if self.strategy(spec.name) != BinaryOnly()]
