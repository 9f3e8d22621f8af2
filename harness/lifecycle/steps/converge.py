"""Check the plan, compile it and run it on every host."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from harness import registry
from harness.connections.base import Connection
from harness.drivers.base import RunId
from harness.lifecycle.compilation import compile_plan, require_compiler
from harness.lifecycle.context import Context
from harness.lifecycle.deployment import run_plan
from harness.lifecycle.expected import failures
from harness.lifecycle.failures import StepFailed, StepSkipped, all_done
from harness.lifecycle.plans import CheckedPlan, read_checked, run_arguments
from harness.lifecycle.witness import witness_of
from harness.models.config import ExpectedOutcome
from harness.models.results import Failed, HostExecutionResult, TaskExecutionResult

_TOLD = 10
"""Failed tasks that the reason of a step names; the report has all."""


def syntax(context: Context) -> None:
    """For a binary: everything that can be known to be wrong before anything is created."""
    if context.scenario.provisioner.plan is None:
        raise StepSkipped("the scenario has no plan")
    try:
        checked = checked_plan(context)
    except StepFailed:
        if context.scenario.provisioner.validate_plan:
            raise
    else:
        require_compiler(context, checked)
    if not context.scenario.provisioner.validate_plan:
        raise StepSkipped("the scenario leaves checking the plan to the compiler (validate: false)")


def converge(context: Context) -> None:
    checked = checked_plan(context)
    for name in context.hosts:
        mark_converged(context, name, None, None)
    results = execute(context, checked, step="converge")
    judge(results, context.scenario.verifier.expected_outcomes, tell_all=False)
    for name in context.hosts:
        mark_converged(context, name, context.run, checked.digest)


def mark_converged(context: Context, name: str, by: RunId | None, plan: str | None) -> None:
    member = context.fleet.members[name]
    member.converged_run, member.converged_plan = by, plan
    context.remember(lambda: context.journal.converged(member.run, context.scenario.name, name, by=by, plan=plan))


def check(context: Context) -> None:
    """Molecule's dry run: the runner says what it would change, and changes nothing."""
    checked = checked_plan(context)
    if not registry.compiler(checked.compiler).honours().selection:
        raise StepSkipped(f"runners of the compiler {checked.compiler.name} know no dry run")
    results = execute(context, checked, step="check", check=True)
    judge(results, context.scenario.verifier.expected_outcomes)


def checked_plan(context: Context) -> CheckedPlan:
    """The scenario's plan; read once a run. Raises StepFailed (stage validate), StepSkipped without a plan."""
    provisioner = context.scenario.provisioner
    if provisioner.plan is None:
        raise StepSkipped("the scenario has no plan")
    known = context.plans.get(provisioner.plan)
    if known is None:
        known = read_checked(
            context.scenario, provisioner.plan, compiler=provisioner.compiler, validate=provisioner.validate_plan
        )
        context.plans[provisioner.plan] = known
        for warning in known.warnings:
            context.warn(warning)
    return known


def execute(
    context: Context, checked: CheckedPlan, *, step: str, check: bool = False
) -> dict[str, HostExecutionResult]:
    """Compile and run a checked plan on all hosts of this run that can be reached; by host. Raises StepFailed."""
    connections, unreached = _reached(context, step)
    binaries = context.binaries.get(checked.path)
    if binaries is None or set(connections) != binaries.hosts:
        binaries = compile_plan(context, checked, connections, step=step)
        context.binaries[checked.path] = binaries
    if step == "converge":
        seen = {result.sha256: result for result in binaries.of_host.values()}
        context.ledger.compilations = list(seen.values())
    for host in connections:
        if host not in binaries.payloads:
            context.event(step, host, "no task is for it")
    arguments = run_arguments(checked, check=check)
    witness = witness_of(context, binaries, connections, arguments, step)
    results = run_plan(
        context, binaries, connections, step=step, arguments=arguments, witness=witness, unreached=unreached
    )
    if witness is not None:
        context.ledger.conduct += witness.verdict(results)
    for result in results.values():
        if step == "converge":
            context.remember(partial(context.journal.save_result, context.run, result))
    return results


def _reached(context: Context, step: str) -> tuple[dict[str, Connection], dict[str, BaseException]]:
    """Raises StepFailed (stage push) where nobody answers."""
    began = time.monotonic()
    reached = context.reached(step)
    took = time.monotonic() - began
    context.time(step, "", "reach", took)
    if step == "converge":
        context.ledger.reach_time += took
    if not reached.done:
        all_done(reached, stage="push")
    return reached.done, reached.failed


def last_result(context: Context, host: str) -> HostExecutionResult | None:
    """Of the last converge of this host: in this run, or as the journal has it."""
    result = context.ledger.host_results.get(host)
    by = context.fleet.members[host].converged_run
    return context.journal.result(by, host) if result is None and by is not None else result


def judge(
    results: Mapping[str, HostExecutionResult], expected: Sequence[ExpectedOutcome], *, tell_all: bool = True
) -> None:
    """Raises StepFailed (stage run) when a host did not end well, or a task failed that was not expected to.

    Without `tell_all` its reason only counts: the results are in the report and say the rest.
    """
    broken = [f"{host}: {result.error}" for host, result in results.items() if result.error]
    tasks = [(host, task) for host, result in results.items() for task in failures(result, expected)]
    failed = [f"{host}: task {named(task)} failed: {_error(task)}" for host, task in tasks]
    said = [text for _, task in tasks for text in (task.stderr.strip(), task.output.strip()) if text]
    told = broken + failed
    if not told:
        return
    head = f"{_count(failed, 'task')} failed" if failed else f"{_count(broken, 'platform')} failed"
    more = [f"... and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    words = told[0] if len(told) == 1 else "\n".join([head, *told[:_TOLD], *more])
    raise StepFailed(
        words if tell_all else head,
        outcome="error" if broken else "failed",
        stage="run",
        words="\n".join([head, *told, *said]),
    )


def named(task: TaskExecutionResult) -> str:
    """Its id, and its name where that says more."""
    return f"{task.task_id} ({task.name})" if task.name and task.name != task.task_id else task.task_id


def _error(task: TaskExecutionResult) -> str:
    return task.status.error if isinstance(task.status, Failed) else ""


def _count(things: list[str], name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) != 1 else ''}"
