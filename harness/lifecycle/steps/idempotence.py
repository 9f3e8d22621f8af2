"""Converge a second time: no task may report a change, and nothing on the host may differ afterwards."""

from __future__ import annotations

from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, all_done
from harness.lifecycle.steps.converge import checked_plan, execute, judge, last_result, named
from harness.models.results import CheckResult, Failed, HostExecutionResult
from harness.report.text import plural
from harness.verify.conduct.catalogue import SECOND_RUN, asks, check_id

_TOLD = 20


def idempotence(context: Context) -> None:
    from harness.machine import Machine, differences
    from harness.verify.state import take_state

    checked = checked_plan(context)
    connections = context.connections("idempotence")
    made = {host: last_result(context, host) for host in context.hosts}

    def states() -> dict[str, Machine]:
        return all_done(
            context.each(context.hosts, lambda host: take_state(connections[host], checked.plan, host, made[host]))
        )

    before = states()
    results = execute(context, checked, step="idempotence")
    judge(results, context.scenario.verifier.expected_outcomes)
    after = states()
    changed = [line for host in context.hosts if host in results for line in _changed(results[host])]
    drift = [f"{host}: {line}" for host in context.hosts for line in differences(before[host], after[host])]
    if SECOND_RUN in context.checks:
        context.ledger.conduct += [_told(host, [*changed, *drift]) for host in context.hosts]
    if not changed and not drift:
        return
    parts = []
    if changed:
        parts.append(f"{plural(len(changed), 'task')} changed something the second time")
    if drift:
        parts.append(
            f"{plural(len(drift), 'thing')} on the hosts {'differs' if len(drift) == 1 else 'differ'} afterwards"
        )
    told = [*changed, *drift]
    more = [f"... and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    raise StepFailed("\n".join([" and ".join(parts), *told[:_TOLD], *more]), outcome="failed")


def _told(host: str, lines: list[str]) -> CheckResult:
    own = [line.removeprefix(f"{host}: ") for line in lines if line.startswith(f"{host}: ")]
    return CheckResult(
        check=check_id(host, "", SECOND_RUN),
        outcome="failed" if own else "passed",
        message=own[0] + (f", and {len(own) - 1} more" if own[1:] else "") if own else "",
        expected=asks(SECOND_RUN),
        actual="\n".join(own) or "nothing changed, and nothing differs",
    )


def _changed(result: HostExecutionResult) -> list[str]:
    """Where only an exit status told, nobody knows: what the machine says has to do."""
    if result.results == "exit-status":
        return []
    return [
        f"{result.host}: task {named(task)} changed again"
        for task in result.task_results
        if task.changed and not isinstance(task.status, Failed)
    ]
