"""A plan, read, checked against what is to carry it out, and sliced for its hosts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import registry
from harness.deploy.means import RunArguments
from harness.errors import HarnessError, InvalidInput, Problem, UsageError
from harness.lifecycle.failures import Stage, StepFailed, describe
from harness.lifecycle.strategy_check import module_problems, parts_problems
from harness.models.plan import Plan
from harness.models.runner import Payload
from harness.models.scenario import CompilerChoice, Scenario

if TYPE_CHECKING:
    from harness.compile.base import Honours


@dataclass(frozen=True)
class CheckedPlan:
    """A plan that may be compiled, by this compiler. `digest` is the file's sha256. `tags` and `skip_tags`: what
    the plan asks for itself and, where it is the one under test, what the scenario adds."""

    path: Path
    plan: Plan
    digest: str
    compiler: CompilerChoice
    tags: tuple[str, ...]
    skip_tags: tuple[str, ...]
    warnings: tuple[str, ...]


def read_checked(scenario: Scenario, path: Path, *, compiler: CompilerChoice, validate: bool = True) -> CheckedPlan:
    """Read and check it against what the compiler honours. Raises StepFailed (stage validate) with ALL problems.

    Without `validate` the file is the compiler's to refuse: the reference compiler reads plans with our reader,
    so that what it does not take is a failure of the stage compile.
    """
    stage: Stage = "validate" if validate else "compile"
    try:
        return _read(scenario, path, compiler, validate)
    except HarnessError as error:
        raise StepFailed(describe(error), outcome="error", stage=stage) from error


def _read(scenario: Scenario, path: Path, compiler: CompilerChoice, validate: bool) -> CheckedPlan:
    from harness.plan import read_plan, run_options

    ours = path == scenario.provisioner.plan
    honours = registry.compiler(compiler).honours()
    plan, warnings = _validated(scenario, path, honours) if validate else (read_plan(path), ())
    wanted = run_options(plan)
    found = CheckedPlan(
        path=path,
        plan=plan,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        compiler=compiler,
        tags=(*wanted.tags, *(scenario.provisioner.tags if ours else ())),
        skip_tags=(*wanted.skip_tags, *(scenario.provisioner.skip_tags if ours else ())),
        # That a prepare or cleanup plan is for some platforms only is nothing to warn of.
        warnings=tuple(str(warning) for warning in warnings) if ours else (),
    )
    if (found.tags or found.skip_tags) and not honours.selection:
        words = f"runners of the compiler {compiler.name} take no tags"
        raise InvalidInput(str(path), [Problem(path.name, words, "leave out tags and skip_tags")])
    if validate and not honours.parts:
        hosts = [platform.name for platform in scenario.platforms]
        payloads = payloads_of(scenario, found, hosts, scenario.provisioner.secrets)
        if problems := parts_problems(scenario, path, payloads, compiler.name):
            raise InvalidInput(str(path), problems)
    return found


def _validated(scenario: Scenario, path: Path, honours: Honours) -> tuple[Plan, Sequence[Problem]]:
    """The plan, and what it is to be warned of. Raises InvalidInput with all that is wrong."""
    from harness.plan import check_file
    from harness.scenario.outcomes import check_outcomes

    checked = check_file(
        path,
        honours=honours,
        platforms=[platform.name for platform in scenario.platforms],
        secrets=scenario.provisioner.secrets,
        by_ansible=scenario.by_ansible(),
    )
    told = {error.where for error in checked.errors}
    unknown = module_problems(scenario, path, checked.plan, honours)
    found = {path: [*checked.errors, *(problem for problem in unknown if problem.where not in told)]}
    if path == scenario.provisioner.plan:
        source = scenario.verifier.expected or path
        expected = check_outcomes(scenario.verifier.expected_outcomes, checked.plan, source=source)
        found[source] = [*found.get(source, ()), *expected]
    if any(found.values()):
        wrong = [str(file) for file, problems in found.items() if problems]
        raise InvalidInput(" and ".join(wrong), [problem for problems in found.values() for problem in problems])
    return checked.plan, checked.warnings


def slices_of(scenario: Scenario, secrets: Collection[str]) -> list[Payload]:
    """The scenario's plan, checked and sliced, for all platforms. Raises HarnessError with all that is wrong."""
    provisioner = scenario.provisioner
    if provisioner.plan is None:
        raise UsageError(f"scenario {scenario.name!r} has no plan", hint="`provisioner: {name: binary, plan: FILE}`")
    checked = _read(scenario, provisioner.plan, provisioner.compiler, validate=True)
    return payloads_of(scenario, checked, [spec.name for spec in scenario.platforms], secrets)


def payloads_of(
    scenario: Scenario, checked: CheckedPlan, hosts: Sequence[str], secrets: Collection[str]
) -> list[Payload]:
    """What each of the hosts has to do, with what the compiler lacks for it. `secrets`: the names there are."""
    from harness.plan import slices

    return slices(
        checked.plan,
        source=checked.path,
        inventory=scenario.provisioner.inventory,
        groups=scenario.groups(),
        hosts=hosts,
        secrets=secrets,
        tags=checked.tags,
        honours=registry.compiler(checked.compiler).honours(),
    )


def run_arguments(checked: CheckedPlan, *, check: bool = False) -> RunArguments:
    """How the plan is run: its tags, and whether anything is changed."""
    return RunArguments(checked.tags, checked.skip_tags, check)
