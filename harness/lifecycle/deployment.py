"""What was decided is done: each strategy takes its hosts, all side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from harness.connections.base import Connection
from harness.connections.traffic import Passed
from harness.deadline import Deadline
from harness.deploy import strategies
from harness.deploy.means import Deployed, HostWork, Means, RunArguments
from harness.errors import DeployFailed
from harness.lifecycle.binaries import Binaries
from harness.lifecycle.context import Context
from harness.lifecycle.crew import Outcome
from harness.lifecycle.failures import StepFailed, describe, describe_all, raise_defects
from harness.lifecycle.sequence import PLAN_STEPS
from harness.lifecycle.witness import Witness
from harness.models.results import HostExecutionResult
from harness.models.runner import TaskRecord
from harness.report.decisions import in_words

T = TypeVar("T")

_GRACE = 15.0
"""Seconds."""


@dataclass(frozen=True)
class _Means(Means):
    context: Context = field(kw_only=True)

    def each(self, hosts: Sequence[str], work: Callable[[str], T]) -> tuple[dict[str, T], dict[str, BaseException]]:
        # A runner is killed at the deadline itself; it gets some seconds more, so that its finished records are not
        # lost.
        patient = Deadline(self.deadline.remaining() + _GRACE)
        outcome = self.context.each(hosts, work, deadline=patient)
        raise_defects(outcome)
        return outcome.done, outcome.failed


def run_plan(
    context: Context,
    binaries: Binaries,
    connections: Mapping[str, Connection],
    *,
    step: str,
    arguments: RunArguments,
    witness: Witness | None = None,
    unreached: Mapping[str, BaseException] = MappingProxyType({}),
) -> dict[str, HostExecutionResult]:
    """Each host by its strategy; the `unreached` have failed already. Raises StepFailed (stage push) when any could not
    be brought what it was to run."""
    started = time.monotonic()
    means = means_of(context, step, arguments, witness)
    before = _so_far(connections)
    deployed = _deploy(context, _works(context, binaries, connections), means)
    took = time.monotonic() - started
    context.time(step, "", "run", took)
    if step == "converge":
        context.ledger.execution_time += took
    # In the scenario's order, whoever was done first.
    results = {host: deployed.results[host] for host in binaries.decisions if host in deployed.results}
    for host, result in results.items():
        context.time(step, host, "deploy", result.execution_time)
        for decision in result.decisions:
            if decision.degraded:
                context.warn(f"{host} was {in_words(decision)}")
    for host, error in (failed := {**unreached, **deployed.failed}).items():
        decided = binaries.decisions.get(host)
        results[host] = HostExecutionResult(
            host=host,
            task_results=[],
            deployment_method=decided.method if decided is not None else "binary",
            execution_time=0.0,
            error=describe(error, of=host),
        )
    if step == "converge":
        context.ledger.host_results.update(results)
        context.ledger.passed += _passed(results, before, _so_far(connections))
    if failed:
        raise _failure(failed, len(results), step, pushing=set(unreached))
    return results


def _so_far(connections: Mapping[str, Connection]) -> dict[str, Passed | None]:
    counts = {host: connection.traffic for host, connection in connections.items()}
    return {host: count.so_far() if count is not None else None for host, count in counts.items()}


def _passed(
    results: Mapping[str, HostExecutionResult], before: Mapping[str, Passed | None], after: Mapping[str, Passed | None]
) -> Iterator[Passed | None]:
    """Ansible has connections of its own: what has passed over them nobody knows."""
    for host, result in results.items():
        was, now = before.get(host), after.get(host)
        if was is None or now is None or result.deployment_method != "binary":
            yield None
        else:
            yield now.since(was)


def _failure(failed: Mapping[str, BaseException], count: int, step: str, *, pushing: Collection[str]) -> StepFailed:
    pushed = all(host in pushing or isinstance(error, DeployFailed) for host, error in failed.items())
    words = describe_all(failed)
    told = f"{len(failed)} of {count} platforms failed" if step == "converge" else words
    return StepFailed(told, outcome="error", stage="push" if pushed else "run", words=words)


def _works(context: Context, binaries: Binaries, connections: Mapping[str, Connection]) -> list[HostWork]:
    works = []
    for host, decision in binaries.decisions.items():
        endpoint = context.fleet.members[host].endpoint
        assert endpoint is not None
        uncompiled = binaries.failures.get(host)
        works.append(
            HostWork(
                host=host,
                payload=binaries.payloads[host],
                decision=decision,
                connection=connections[host],
                endpoint=endpoint,
                binary=binaries.of_host.get(host),
                failure=uncompiled.why if uncompiled is not None else None,
                spent=uncompiled.spent if uncompiled is not None else 0.0,
                parts=binaries.parts,
            )
        )
    return works


def _deploy(context: Context, works: Sequence[HostWork], means: Means) -> Deployed:
    """The strategies side by side, too: hosts of one do not wait for those of another."""
    by_strategy: dict[str, list[HostWork]] = {}
    for work in works:
        by_strategy.setdefault(context.scenario.strategy(work.host).tag, []).append(work)
    if len(by_strategy) == 1:
        ((tag, only),) = by_strategy.items()
        return strategies.of(tag)(only, means)
    patient = Deadline(context.deadline.remaining() + 2 * _GRACE)
    outcome: Outcome[Deployed] = context.each(
        list(by_strategy), lambda tag: strategies.of(tag)(by_strategy[tag], means), deadline=patient
    )
    raise_defects(outcome)
    whole = Deployed({}, {})
    for deployed in outcome.done.values():
        whole.results.update(deployed.results)
        whole.failed.update(deployed.failed)
    for tag, error in outcome.failed.items():
        whole.failed.update({work.host: error for work in by_strategy[tag]})
    return whole


def _again(context: Context, step: str) -> bool:
    """Whether a later step of this run does the plan on the same hosts."""
    names = [each.split()[0] for each in context.steps]
    return not PLAN_STEPS.isdisjoint(names[names.index(step) + 1 :] if step in names else ())


def means_of(context: Context, step: str, arguments: RunArguments, witness: Witness | None = None) -> Means:
    def ended(host: str, record: TaskRecord) -> None:
        context.task(host, record)
        if witness is not None:
            witness.heard(host, record)
        context.faults.task_ended(host, record.task_id)

    return _Means(
        arguments=arguments,
        deadline=context.deadline,
        cancellation=context.cancellation,
        secrets=context.secrets,
        env=context.scenario.provisioner.env,
        mask=context.mask.tree,
        on_event=lambda host, message: context.event(step, host, message),
        on_record=ended,
        on_line=lambda line: context.log_line(step, line),
        again=_again(context, step),
        on_ended=witness.ended if witness is not None else lambda host, ending: None,
        on_pushing=context.faults.pushing,
        on_start=lambda host, _: context.faults.task_started(host),
        context=context,
    )
