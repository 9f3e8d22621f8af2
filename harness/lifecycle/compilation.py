"""What each host gets is decided, and one binary compiled for each slice and target that a decision asks for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

from harness import registry
from harness.compile.base import Compiler, CompileSettings
from harness.compile.inspect import check_binary
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.deploy import become, foreign_root
from harness.deploy.decide import Decision
from harness.errors import HarnessError, InvalidInput, Problem
from harness.lifecycle.binaries import Binaries, Uncompiled
from harness.lifecycle.context import Context
from harness.lifecycle.crew import Outcome
from harness.lifecycle.failures import StepFailed, all_done, describe, describe_all, raise_defects
from harness.lifecycle.plans import CheckedPlan, payloads_of
from harness.models.config import BinaryOnly, Hybrid, SSHFallback
from harness.models.facts import Facts
from harness.models.results import CompilationResult
from harness.models.runner import Payload
from harness.models.scenario import CompilerChoice

_STRICT = (BinaryOnly(), Hybrid())
"""Strategies under which a platform without its binary has failed."""


def compile_plan(
    context: Context, checked: CheckedPlan, connections: Mapping[str, Connection], *, step: str
) -> Binaries:
    """One binary for each (slice, target) among the hosts. Raises StepFailed (stage compile)."""
    from harness.deploy.known import decide_all

    try:
        payloads = payloads_of(context.scenario, checked, list(connections), list(context.secrets))
    except HarnessError as error:
        raise StepFailed(describe(error), outcome="error", stage="compile") from error
    busy = [host for payload in payloads for host in payload.run_on]
    facts = context.facts(busy, connections)
    compiler = _compiler(context, checked.compiler)
    strategies = {host: context.scenario.strategy(host) for host in busy}
    payloads = become.by_user(payloads, facts, compiler.honours())
    _refuse_what_needs_root(context, payloads, facts)
    decisions = decide_all(payloads, strategies, facts, compiler)
    _tell(context, decisions, step)
    targets = _targets(context, decisions, facts)
    wanted = sorted(
        {
            (number, targets[host])
            for number, payload in enumerate(payloads)
            for host in payload.run_on
            if host in targets
        }
    )
    began = time.monotonic()
    outcome, spent = _compile_all(context, checked.compiler, payloads, wanted, step)
    context.time(step, "", "compile", time.monotonic() - began)
    compiled, failures = _compiled(context, payloads, targets, outcome, spent)
    of_host = {host: payload for payload in payloads for host in payload.run_on}
    return Binaries(frozenset(connections), of_host, decisions, compiled, failures, compiler.honours().parts)


def require_compiler(context: Context, checked: CheckedPlan) -> None:
    """Before anything is made: that the compiler can work here for each platform which has to have a binary, as far as
    the scenario says what that platform will be. Raises StepFailed (stage compile)."""
    from harness.deploy.known import decide_all, expected_facts

    compiler = _compiler(context, checked.compiler)
    strict = {
        host: strategy for host in context.fleet.specs if (strategy := context.scenario.strategy(host)) in _STRICT
    }
    facts = {host: expected_facts(context.fleet.specs[host]) for host in strict}
    problems = cache(partial(_problems, compiler))
    hindered = [host for host in strict if problems(facts[host])]
    if not hindered:
        return
    try:
        payloads = payloads_of(context.scenario, checked, hindered, list(context.secrets))
    except HarnessError as error:
        raise StepFailed(describe(error), outcome="error", stage="compile") from error
    decisions = decide_all(payloads, {host: strict[host] for host in hindered}, facts, compiler)
    told = {
        host: InvalidInput(f"the compiler {checked.compiler.name} cannot work here", problems(facts[host]))
        for host, decision in decisions.items()
        if decision.method in ("binary", "hybrid")
    }
    if told:
        raise StepFailed(describe_all(told), outcome="error", stage="compile")


def _problems(compiler: Compiler, facts: Facts) -> tuple[Problem, ...]:
    from harness.compile import target_for

    try:
        return tuple(compiler.diagnose(target_for(facts)))
    except HarnessError as error:
        return (Problem("", error.message, error.hint),)


def _tell(context: Context, decisions: Mapping[str, Decision], step: str) -> None:
    for host, decision in decisions.items():
        if decision.method != "binary" or decision.obstacles:
            context.event(step, host, f"{decision.method}: {'; '.join((*decision.reasons, *decision.obstacles))}")


def _targets(context: Context, decisions: Mapping[str, Decision], facts: Mapping[str, Facts]) -> dict[str, str]:
    """The target of every host that is to have a binary."""
    from harness.compile import target_for

    hosts = [host for host, decision in decisions.items() if decision.method in ("binary", "hybrid")]
    return all_done(context.each(hosts, lambda host: target_for(facts[host])), stage="compile")


def _compiled(
    context: Context,
    payloads: Sequence[Payload],
    targets: Mapping[str, str],
    outcome: Outcome[CompilationResult],
    spent: Mapping[str, float],
) -> tuple[dict[str, CompilationResult], dict[str, Uncompiled]]:
    """Each host's binary, or why it goes without. Raises StepFailed (stage compile) where one may not."""
    compiled: dict[str, CompilationResult] = {}
    failures: dict[str, Uncompiled] = {}
    fatal: dict[str, BaseException] = {}
    for number, payload in enumerate(payloads):
        for host in payload.run_on:
            if host not in targets:
                continue
            name = _job(number, targets[host])
            if name in outcome.done:
                compiled[host] = outcome.done[name]
            elif context.scenario.strategy(host) == SSHFallback():
                failures[host] = Uncompiled(describe(outcome.failed[name]), spent.get(name, 0.0))
            else:
                fatal[targets[host]] = outcome.failed[name]
    if fatal:
        raise StepFailed(describe_all(fatal), outcome="error", stage="compile")
    return compiled, failures


def _job(number: int, target: str) -> str:
    return f"{target} #{number}"


def _refuse_what_needs_root(context: Context, payloads: Sequence[Payload], facts: Mapping[str, Facts]) -> None:
    """Raises StepFailed (stage compile) with every task that a platform has not the rights for."""
    found = []
    for payload in payloads:
        for host in payload.run_on:
            endpoint = context.fleet.members[host].endpoint
            if endpoint is not None and endpoint.kind == "sandbox" and endpoint.foreign_root:
                found += foreign_root.refusals(payload, host)
            elif context.scenario.strategy(host) == BinaryOnly():
                found += become.refusals(payload, host, facts[host].user)
    if found:
        cures = {problem.hint for problem in found}
        if len(cures) == 1:  # then once is enough
            found = [replace(problem, hint=None) for problem in found]
        hint = "; ".join(sorted(cure for cure in cures if cure))
        error = InvalidInput("the plan needs more rights than its platforms have", found, hint=hint)
        raise StepFailed(describe(error), outcome="error", stage="compile") from error


def _compile_all(
    context: Context,
    choice: CompilerChoice,
    payloads: Sequence[Payload],
    wanted: Sequence[tuple[int, str]],
    step: str,
) -> tuple[Outcome[CompilationResult], Mapping[str, float]]:
    """What became of each binary, and the seconds that it took."""
    compiler = _compiler(context, choice)
    settings = CompileSettings(cancellation=context.cancellation)
    if context.secrets and not compiler.honours().secrets:
        raise StepFailed(f"the compiler {choice.name} cannot take secrets", outcome="error", stage="compile")
    by_name = {_job(number, target): (number, target) for number, target in wanted}

    spent: dict[str, float] = {}

    def build(name: str) -> CompilationResult:
        number, target = by_name[name]
        payload = payloads[number]
        told = partial(context.event, step, payload.run_on[0])
        began = time.monotonic()
        try:
            result = compiler.compile(payload, target, replace(settings, progress=told))
            # Whichever compiler made it: what cannot run there is refused before it travels.
            check_binary(result.binary_path, target)
        finally:
            spent[name] = time.monotonic() - began
        return result

    # The toolchain's time has a limit of its own: whether a scenario passes must not depend on a warm cache.
    with context.deadline.aside(settings.timeout):
        outcome = context.each(list(by_name), build, Deadline(settings.timeout))
    raise_defects(outcome)
    for name, result in outcome.done.items():
        how = "from the store" if result.cache_hit else f"compiled in {result.compilation_time:.1f} s"
        for host in payloads[by_name[name][0]].run_on:
            context.event(step, host, f"{result.target}, {result.binary_size / 1e6:.1f} MB, {how}")
    return outcome, spent


def _compiler(context: Context, choice: CompilerChoice) -> Compiler:
    own = context.compiler
    return own if own is not None and choice == context.scenario.provisioner.compiler else registry.compiler(choice)
