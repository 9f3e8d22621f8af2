"""molecule.yml as it may be written. The published JSON schema is made from these models."""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, StrictBool, model_validator

from harness.drivers.base import SNAPSHOT_NAME
from harness.models.config import BinaryOnly, DeploymentStrategy, ForceSSH, Hybrid, SSHFallback
from harness.models.problems import shown
from harness.models.serde import StrictModel, Variant
from harness.models.shaping import Shaping
from harness.scenario.values import Positive, Text

STRATEGIES: dict[str, DeploymentStrategy] = {
    "binary-only": BinaryOnly(),
    "ssh-fallback": SSHFallback(),
    "hybrid": Hybrid(),
    "force-ssh": ForceSSH(),
}

_FAR_SECONDS = 50 * 365 * 86400.0
"""No clock can be set to before 1970."""


def _listed(value: object) -> object:
    """Ansible takes `tags: a,b` as well as a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _text(value: object) -> object:
    """What an environment variable may be written as: YAML reads `PORT: 80` as a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _alone(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _at_path(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


def _strategy(value: object) -> object:
    if isinstance(value, str) and value in STRATEGIES:
        return STRATEGIES[value]
    if any(isinstance(value, Variant) or value == known.tag for known in STRATEGIES.values()):
        return value
    raise ValueError(f"should be one of {', '.join(STRATEGIES)}, not {shown(value)}")


def _regex(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a pattern that a later Python reads otherwise is not wrong now
            re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


class Section(StrictModel):
    """Built when it is first used: a scenario needs either the models of Ansible's or those of ours."""

    model_config = ConfigDict(defer_build=True)


class OpenSection(Section):
    """Further keys are kept, for another model to judge or for nobody."""

    model_config = ConfigDict(extra="allow")


Listed = Annotated[list[Text], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
VariableName = Annotated[str, Field(pattern=r"^[^=\x00]+$")]
Environment = dict[VariableName, Annotated[str, BeforeValidator(_text, json_schema_input_type=str | float | bool)]]
Steps = Annotated[list[Text], Field(min_length=1)]
SnapshotName = Annotated[str, Field(pattern=SNAPSHOT_NAME)]
Strategy = Annotated[
    DeploymentStrategy | None,
    BeforeValidator(_strategy, json_schema_input_type=Literal["binary-only", "ssh-fallback", "hybrid", "force-ssh"]),
]


class DriverSection(OpenSection):
    """Keys beside `name` are defaults for every platform of that driver."""

    name: Text = Field(description="the driver of every platform that names no other")


class PlatformSection(OpenSection):
    """Keys beside these are the driver's own."""

    name: Text = Field(description="its host name; the plan's host of that name runs on it")
    driver: Text | None = Field(default=None, description="this platform's driver, where it is not the scenario's")
    image: Text | None = Field(default=None, description="what it is made from")
    os: Text = Field(default="linux", description="linux, macos or windows")
    arch: Text | None = Field(default=None, description="as in a target triple: x86_64, aarch64; this host's if absent")
    groups: list[Text] = Field(default_factory=list, description="the groups it belongs to")
    snapshot: StrictBool | SnapshotName | None = Field(
        default=None,
        description="whether what prepare makes is kept as a snapshot; a name: start from the one of that name",
    )
    shaping: Shaping | None = Field(default=None, description="what the way to it is like; needs `connection: ssh`")
    strategy: Strategy = Field(default=None, description="how the plan reaches it, where not as the provisioner says")


class PlanSection(Section):
    path: Text = Field(description="relative to the scenario's folder")
    validate_: bool = Field(default=True, alias="validate", description="false hands the file to the compiler as it is")


class CompilerSection(OpenSection):
    """Keys beside `name` are the compiler's own."""

    name: Text


class SecretSection(Section):
    env: Text | None = Field(default=None, description="the environment variable that holds the value")
    file: Text | None = Field(default=None, description="the file that holds the value")

    @model_validator(mode="after")
    def _one_source(self) -> SecretSection:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret comes from exactly one of env and file")
        return self


Variables = dict[str, JsonValue]


class InventorySection(Section):
    hosts: dict[str, Any] = Field(
        default_factory=dict, description="groups with hosts, vars and children, as Ansible's"
    )
    host_vars: dict[str, Variables] = Field(default_factory=dict, description="variables by platform")
    hosts_vars: dict[str, Variables] = Field(default_factory=dict, description="another name of host_vars")
    group_vars: dict[str, Variables] = Field(default_factory=dict, description="variables by group")


class FaultSection(Section):
    kind: Text = Field(description="what happens; docs/faults.md lists the kinds")
    platform: Listed = Field(
        default_factory=list, description="to whom: platforms or groups, one or several; all if absent"
    )
    during: Literal["converge", "push", "run", "side_effect"] | None = Field(
        default=None, description="the moment; at the step side_effect if absent"
    )
    after_task: Text | None = Field(default=None, description="as soon as this task of the plan has ended")
    seconds: Positive | None = Field(default=None, description="undone after so long")
    paths: list[Text] = Field(default_factory=list, description="of disk-full, read-only and noexec: which folders")
    offset_seconds: float = Field(
        default=3600.0,
        ge=-_FAR_SECONDS,
        le=_FAR_SECONDS,
        allow_inf_nan=False,
        description="of clock-skew: ahead, or behind where it is negative",
    )


class FaultItem(Section):
    fault: FaultSection


class BinaryProvisioner(Section):
    name: Literal["binary"]
    plan: Annotated[PlanSection, BeforeValidator(_at_path, json_schema_input_type=str | PlanSection)] = PlanSection(
        path="plan.json"
    )
    strategy: Strategy = Field(default=None, description="how the plan reaches a platform")
    compiler: Annotated[CompilerSection, BeforeValidator(_named, json_schema_input_type=str | CompilerSection)] = (
        CompilerSection(name="reference")
    )
    inventory: InventorySection = Field(default_factory=InventorySection, description="variables of hosts and groups")
    secrets: dict[str, SecretSection] = Field(
        default_factory=dict, description="what `{{ secret('NAME') }}` in the plan stands for"
    )
    env: Environment = Field(default_factory=dict, description="environment of the runner and of scripts")
    tags: Listed = Field(default_factory=list, description="only tasks with one of these tags")
    skip_tags: Listed = Field(default_factory=list, description="no tasks with one of these tags")
    prepare: Text | None = Field(
        default=None,
        description="a plan (.json) or a script (.sh): brings the platforms into the state the plan starts from",
    )
    side_effect: Annotated[
        list[Text | FaultItem], BeforeValidator(_alone, json_schema_input_type=Text | list[Text | FaultItem])
    ] = Field(
        default_factory=list,
        description="a plan (.json) or a script (.sh), or a list of such a file and of faults: what happens to the "
        "platforms between converge and verify",
    )
    cleanup: Text | None = Field(
        default=None,
        description="a plan (.json) or a script (.sh): undoes what reaches beyond the platforms, before destroy",
    )
    log: bool = True


class ChecksSection(Section):
    level: Listed = Field(
        default_factory=lambda: ["cheap"], description="cheap, full, none, or ids of checks: docs/checks.md"
    )
    without: dict[Text, Text] = Field(
        default_factory=dict, description="ids of checks that are left out, each with the reason"
    )
    touches: dict[Text, list[Text]] = Field(
        default_factory=dict, description="by task: patterns of paths that a command, script or service touches"
    )
    allowed: dict[Text, Text] = Field(
        default_factory=dict, description="patterns of paths that may change without a task, each with the reason"
    )


def _of_level(value: object) -> object:
    return {"level": value} if isinstance(value, str | list) else value


class VerifierSection(Section):
    name: Literal["testinfra", "ansible"] | None = None
    enabled: bool = Field(default=True, description="false skips the step verify")
    directory: Text = Field(default="tests", description="the folder of the testinfra tests")
    expected: Text | None = Field(
        default=None, description="a file of ExpectedOutcomes; expected.json where it is there"
    )
    derive_from_plan: bool = Field(default=True, description="check what the plan itself says must be there")
    checks: Annotated[
        ChecksSection, BeforeValidator(_of_level, json_schema_input_type=str | list[str] | ChecksSection)
    ] = Field(default_factory=ChecksSection, description="checks of how the plan was run, which need no expectations")
    options: dict[str, JsonValue] = Field(default_factory=dict)
    env: Environment = Field(default_factory=dict)
    additional_files_or_dirs: list[Text] = Field(
        default_factory=list, description="more tests, relative to `directory`; globs allowed"
    )


class ScenarioSection(Section):
    name: Text | None = None
    category: Literal["basic", "cross-compilation", "large-scale", "error", "performance"] | None = None
    timeout_seconds: Positive | None = Field(default=None, description="of one run of the scenario")
    check_sequence: Steps | None = None
    cleanup_sequence: Steps | None = None
    converge_sequence: Steps | None = None
    create_sequence: Steps | None = None
    dependency_sequence: Steps | None = None
    destroy_sequence: Steps | None = None
    idempotence_sequence: Steps | None = None
    lint_sequence: Steps | None = None
    prepare_sequence: Steps | None = None
    side_effect_sequence: Steps | None = None
    syntax_sequence: Steps | None = None
    test_sequence: Steps | None = None
    verify_sequence: Steps | None = None


class PerformanceSection(Section):
    max_execution_time_seconds: Positive | None = Field(default=None, description="the slowest host's run")
    max_binary_size_mb: Positive | None = Field(default=None, description="the largest binary")
    min_improvement_factor: Positive | None = Field(default=None, description="over the same plan by Ansible over SSH")


class ExpectSection(Section):
    stage: Literal["validate", "compile", "push", "run"] = Field(description="the stage that must fail")
    error: Annotated[Text, BeforeValidator(_regex)] = Field(description="a regular expression found in its error")


class CompareSideSection(Section):
    compiler: Annotated[
        CompilerSection | None, BeforeValidator(_named, json_schema_input_type=str | CompilerSection)
    ] = Field(default=None, description="the scenario's own if absent")
    strategy: Strategy = Field(default=None, description="of every platform; as the scenario says if absent")


Pattern = Annotated[
    Annotated[str, Field(min_length=1)] | None, BeforeValidator(_text, json_schema_input_type=str | int | None)
]


class AllowSection(Section):
    task: Pattern = Field(default=None, description="a task's id; globs allowed here and below")
    path: Pattern = Field(default=None, description="of a file, folder or link; `*` takes slashes in")
    package: Pattern = None
    service: Pattern = None
    process: Pattern = None
    port: Pattern = None
    user: Pattern = None
    group: Pattern = None
    field: Pattern = Field(default=None, description="only this of it: status, rc, stdout, mode, content, ...")
    host: Pattern = Field(default=None, description="only on this platform")
    side: Text | None = Field(default=None, description="only where this side takes part")
    reason: Annotated[str, Field(pattern=r"\S", description="why the two may differ here")]


class CompareSection(Section):
    sides: dict[Text, CompareSideSection] = Field(default_factory=dict, description="ways to run the plan, by name")
    allow: list[AllowSection] = Field(default_factory=list, description="differences that are no fault")


class CommonFile(Section):
    """The top-level keys whose meaning does not hang on the provisioner."""

    verifier: VerifierSection = Field(default_factory=VerifierSection)
    scenario: ScenarioSection = Field(default_factory=ScenarioSection)
    performance: PerformanceSection | None = Field(default=None, description="limits")
    expect: ExpectSection | None = Field(default=None, description="the scenario passes only if this stage fails")
    collect: list[Text] = Field(
        default_factory=list, description="absolute paths fetched from the platforms when something failed"
    )
    log: bool = True
    lint: Any = Field(default=None, deprecated="Molecule has dropped it, too")


class BinaryFile(CommonFile):
    """molecule.yml with `provisioner: {name: binary}`."""

    driver: DriverSection = Field(default_factory=lambda: DriverSection(name="native"))
    platforms: list[PlatformSection] = Field(min_length=1)
    provisioner: BinaryProvisioner
    dependency: dict[str, Any] = Field(default_factory=dict)
    ansible: dict[str, Any] = Field(default_factory=dict)
    prerun: bool = Field(default=True, description="Molecule's; without meaning for binary")
    role_name_check: int = 0
    shared_state: bool = False
    compare: CompareSection = Field(default_factory=CompareSection, description="of `harness compare`")
