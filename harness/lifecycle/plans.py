"""A plan, checked, compiled for every target among the hosts, and run on them side by side."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness import registry
from harness.compile.base import CompileSettings
from harness.compile.inspect import check_binary
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy.binary import BinaryRun, run_binary
from harness.deploy.decide import Decision, decide
from harness.errors import DeployFailed, HarnessError, InvalidInput, Problem
from harness.lifecycle.context import Context
from harness.lifecycle.failures import Stage, StepFailed, all_done, describe, describe_all, raise_defects
from harness.models.config import BinaryOnly, DeploymentStrategy
from harness.models.plan import Plan
from harness.models.results import CompilationResult, HostExecutionResult
from harness.models.runner import Payload, TaskRecord
from harness.models.scenario import CompilerChoice, Scenario

_GRACE = 15.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Binaries:
    """What was compiled for `hosts`: one binary per slice and target; a host that has no task is not in `of_host`."""

    hosts: frozenset[str]
    of_host: Mapping[str, CompilationResult]
    secrets: Mapping[str, tuple[str, ...]]
    """The names of the secrets that a host's slice asks for."""


def read_checked(scenario: Scenario, path: Path, *, compiler: CompilerChoice, validate: bool = True) -> CheckedPlan:
    """Read and check it against what the compiler honours. Raises StepFailed (stage validate) with ALL problems.

    Without `validate` the file is the compiler's to refuse: the reference compiler reads plans with our reader,
    so that what it does not take is a failure of the stage compile.
    """
    stage: Stage = "validate" if validate else "compile"
    try:
        decide("", scenario.provisioner.strategy or BinaryOnly())
        return _read(scenario, path, compiler, validate)
    except HarnessError as error:
        raise StepFailed(describe(error), outcome="error", stage=stage) from error


def _read(scenario: Scenario, path: Path, compiler: CompilerChoice, validate: bool) -> CheckedPlan:
    from harness.plan import check_file, read_plan, run_options
    from harness.scenario.outcomes import check_outcomes

    ours = path == scenario.provisioner.plan
    warnings: Sequence[Problem] = ()
    if validate:
        platforms = [platform.name for platform in scenario.platforms]
        honours = registry.compiler(compiler.name).honours()
        checked = check_file(path, honours=honours, platforms=platforms, secrets=scenario.provisioner.secrets)
        plan, problems = checked.plan, list(checked.errors)
        if ours:
            source = scenario.verifier.expected or path
            problems += check_outcomes(scenario.verifier.expected_outcomes, plan, source=source)
        if problems:
            raise InvalidInput(str(path), problems)
        warnings = checked.warnings
    else:
        plan = read_plan(path)
    wanted = run_options(plan)
    return CheckedPlan(
        path=path,
        plan=plan,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        compiler=compiler,
        tags=(*wanted.tags, *(scenario.provisioner.tags if ours else ())),
        skip_tags=(*wanted.skip_tags, *(scenario.provisioner.skip_tags if ours else ())),
        # That a prepare or cleanup plan is for some platforms only is nothing to warn of.
        warnings=tuple(str(warning) for warning in warnings) if ours else (),
    )


def compile_plan(
    context: Context, checked: CheckedPlan, hosts: Sequence[str], connections: Mapping[str, Connection], *, step: str
) -> Binaries:
    """One binary for each (slice, target) among the hosts. Raises StepFailed (stage compile)."""
    from harness.compile import target_for
    from harness.plan import slices

    provisioner = context.scenario.provisioner
    try:
        payloads = slices(
            checked.plan,
            source=checked.path,
            inventory=provisioner.inventory,
            groups=context.scenario.groups(),
            hosts=hosts,
            secrets=list(context.secrets),
            tags=checked.tags,
        )
    except HarnessError as error:
        raise StepFailed(describe(error), outcome="error", stage="compile") from error
    _refuse_what_needs_root(context, payloads)
    targets = all_done(context.each(hosts, lambda host: target_for(connections[host].facts())))
    wanted = sorted({(number, targets[host]) for number, payload in enumerate(payloads) for host in payload.run_on})
    compiled = _compile_all(context, checked.compiler, payloads, wanted, step)
    return Binaries(
        hosts=frozenset(hosts),
        of_host={host: compiled[n, targets[host]] for n, payload in enumerate(payloads) for host in payload.run_on},
        secrets={host: tuple(payload.secrets) for payload in payloads for host in payload.run_on},
    )


def _refuse_what_needs_root(context: Context, payloads: Sequence[Payload]) -> None:
    """Raises StepFailed (stage compile) with every task that a platform has not the rights for."""
    from harness.deploy.foreign_root import refusals

    found = []
    for payload in payloads:
        for host in payload.run_on:
            endpoint = context.fleet.members[host].endpoint
            if endpoint is not None and endpoint.kind == "sandbox" and endpoint.foreign_root:
                found += refusals(payload, host)
    if found:
        error = InvalidInput("the plan needs more rights than its platforms have", found, hint=found[0].hint)
        raise StepFailed(describe(error), outcome="error", stage="compile") from error


def _compile_all(
    context: Context,
    choice: CompilerChoice,
    payloads: Sequence[Payload],
    wanted: Sequence[tuple[int, str]],
    step: str,
) -> dict[tuple[int, str], CompilationResult]:
    own = context.compiler
    compiler = own if own is not None and own.name == choice.name else registry.compiler(choice.name)
    settings = CompileSettings(options=choice.options, cancellation=context.cancellation)
    if context.secrets and not compiler.honours().secrets:
        raise StepFailed(f"the compiler {choice.name} cannot take secrets", outcome="error", stage="compile")
    by_name = {f"{target} #{number}": (number, target) for number, target in wanted}

    def build(name: str) -> CompilationResult:
        number, target = by_name[name]
        payload = payloads[number]
        told = partial(context.event, step, payload.run_on[0])
        result = compiler.compile(payload, target, replace(settings, progress=told))
        # Whichever compiler made it: what cannot run there is refused before it travels.
        check_binary(result.binary_path, target)
        return result

    # The toolchain's time has a limit of its own: whether a scenario passes must not depend on a warm cache.
    limit = Deadline(settings.timeout)
    try:
        outcome = context.each(list(by_name), build, limit)
    finally:
        context.deadline.extend(limit.elapsed())
    targets: dict[str, BaseException] = {by_name[name][1]: error for name, error in outcome.failed.items()}
    raise_defects(outcome)
    if targets:
        raise StepFailed(describe_all(targets), outcome="error", stage="compile")
    for name, result in outcome.done.items():
        how = "from the store" if result.cache_hit else f"compiled in {result.compilation_time:.1f} s"
        for host in payloads[by_name[name][0]].run_on:
            context.event(step, host, f"{result.target}, {result.binary_size / 1e6:.1f} MB, {how}")
    return {by_name[name]: result for name, result in outcome.done.items()}


def run_plan(
    context: Context,
    binaries: Binaries,
    connections: Mapping[str, Connection],
    *,
    step: str,
    arguments: tuple[str, ...] = (),
) -> dict[str, HostExecutionResult]:
    """Push and run each host's binary. Raises StepFailed (stage push) when any could not be brought to its host."""
    provisioner = context.scenario.provisioner
    strategy: DeploymentStrategy = provisioner.strategy or BinaryOnly()
    lock = threading.Lock()
    started = time.monotonic()

    def ended(host: str, record: TaskRecord) -> None:
        context.task(host, record)
        context.faults.task_ended(host, record.task_id)

    def work(host: str) -> HostExecutionResult:
        binary = binaries.of_host[host]
        decision: Decision = decide(host, strategy)
        assert decision.method == "binary"
        job = BinaryRun(
            host=host,
            connection=connections[host],
            binary=binary,
            arguments=arguments,
            secrets={name: context.secrets[name] for name in binaries.secrets[host]},
            env=provisioner.env,
            mask=context.mask.tree,
            on_event=lambda message: context.event(step, host, message),
            on_start=lambda _: context.faults.task_started(host),
            on_record=lambda record: ended(host, record),
        )
        context.faults.pushing(host)
        result = run_binary(job, deadline=context.deadline, cancellation=context.cancellation)
        with lock:
            context.ledger.pushes += 1
            context.ledger.bytes_pushed += binary.binary_size
        context.time(step, host, "deploy", result.execution_time)
        return result

    # A runner is killed at the deadline itself; it gets some seconds more, so that its finished records are not lost.
    patient = Deadline(context.deadline.remaining() + _GRACE)
    outcome = context.each(list(binaries.of_host), work, deadline=patient)
    raise_defects(outcome)
    if step == "converge":
        context.ledger.execution_time += time.monotonic() - started
    results = dict(outcome.done)
    for host, error in outcome.failed.items():
        results[host] = HostExecutionResult(
            host=host, task_results=[], deployment_method="binary", execution_time=0.0, error=describe(error)
        )
    if step == "converge":
        context.ledger.host_results.update(results)
    if outcome.failed:
        pushing = all(isinstance(error, DeployFailed) for error in outcome.failed.values())
        words = describe_all(outcome.failed)
        told = f"{len(outcome.failed)} of {len(results)} platforms failed" if step == "converge" else words
        raise StepFailed(told, outcome="error", stage="push" if pushing else "run", words=words)
    return results


def tag_arguments(checked: CheckedPlan) -> tuple[str, ...]:
    """The runner's options for the plan's tags."""
    found: list[str] = []
    if checked.tags:
        found += ["--tags", ",".join(checked.tags)]
    if checked.skip_tags:
        found += ["--skip-tags", ",".join(checked.skip_tags)]
    return tuple(found)
