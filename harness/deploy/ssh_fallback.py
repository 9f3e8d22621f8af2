"""The strategy ssh-fallback: each host's binary, and where that cannot be done, what is left of it by Ansible."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.deadline import Deadline
from harness.deploy.aftermath import end_what_is_left
from harness.deploy.ansible_playbook import Excerpt
from harness.deploy.ansible_run import HostRun, route, run_by_ansible
from harness.deploy.binary import run_binary
from harness.deploy.binary_only import binary_run
from harness.deploy.means import Deployed, HostWork, Means
from harness.deploy.records import task_result
from harness.deploy.resume import Progress, progress_of, remaining, unsure
from harness.errors import HarnessError, Interrupted, message_of
from harness.models.results import DecisionRecord, HostExecutionResult
from harness.models.runner import TaskRecord

_SHARE = 0.5
"""Of the time that is left, what the binary may take: a runner that hangs must leave Ansible the rest."""


@dataclass
class _Attempt:
    """What became of a host's binary. `why` it will not do, None where it did; `spent` in seconds."""

    work: HostWork
    progress: Progress = field(default_factory=Progress)
    result: HostExecutionResult | None = None
    why: str | None = None
    unsure: str | None = None
    """Why nobody can say what of the plan was done, or is being done, on the host."""
    spent: float = 0.0


def deploy(works: Sequence[HostWork], means: Means) -> Deployed:
    """All binaries side by side; then those hosts that need it by Ansible, alike ones in one playbook."""
    of_host = {work.host: work for work in works}
    attempts, failed = means.each(list(of_host), lambda host: _attempt(of_host[host], means))
    deployed = Deployed({}, failed)
    degraded: list[_Attempt] = []
    for host, attempt in attempts.items():
        settled = _settled(attempt)
        if settled is None:
            means.on_event(host, f"degraded to SSH: {attempt.why}")
            degraded.append(attempt)
        else:
            deployed.results[host] = settled
    groups = _alike(degraded)
    runs, broken = means.each(list(groups), lambda name: _fall_back(groups[name], means))
    for name, group in groups.items():
        for attempt in group:
            host = attempt.work.host
            run = runs[name][host] if name in runs else HostRun(error=message_of(broken[name], host))
            deployed.results[host] = _result(attempt, run)
    return deployed


def _attempt(work: HostWork, means: Means) -> _Attempt:
    attempt = _Attempt(work)
    if work.decision.method != "binary" or work.binary is None:
        reasons = work.decision.reasons if work.decision.method != "binary" else ()
        attempt.why = work.failure or "; ".join(reasons)
        attempt.spent = work.spent
        return attempt
    started = time.monotonic()
    try:
        attempt.result = _by_binary(attempt, work, means)
        attempt.why = attempt.result.error
    except Interrupted:
        raise
    except HarnessError as error:
        attempt.why = error.of(work.host)
    attempt.spent = time.monotonic() - started
    if attempt.result is not None and means.cancellation.called:
        attempt.why = None  # called off, and not the binary's fault
    return attempt


def _by_binary(attempt: _Attempt, work: HostWork, means: Means) -> HostExecutionResult:
    assert work.binary is not None
    progress = attempt.progress
    job = binary_run(work, means)

    def interrupted(task_id: str) -> None:
        progress.interrupted = task_id

    def recorded(record: TaskRecord) -> None:
        progress.records.append(record)
        means.on_record(work.host, record)

    job = replace(
        job,
        on_record=recorded,
        on_state=progress.state.take if work.parts else None,
        on_interrupted=interrupted,
        records=work.parts,
        on_left=lambda folder: _make_sure(attempt, folder, means),
    )
    deadline = Deadline(means.deadline.remaining() * _SHARE, "half of the scenario's time that was left")
    return run_binary(job, deadline=deadline, cancellation=means.cancellation)


def _make_sure(attempt: _Attempt, folder: str, means: Means) -> None:
    """That nothing of the binary works on the host any more, and what it had done by then."""
    work, heard = attempt.work, attempt.progress
    try:
        lines = end_what_is_left(
            work.endpoint, work.host, folder, deadline=means.deadline, cancellation=means.cancellation
        )
    except HarnessError as error:
        attempt.unsure = error.of(work.host)
        return
    if lines is None:
        if heard.began is work.parts:  # where there are no parts and something has begun, SSH does not go on anyway
            attempt.unsure = "what the runner did when nobody heard it is written nowhere"
        return
    attempt.progress = progress_of(lines, means.mask)
    for record in attempt.progress.records[len(heard.records) :]:
        means.on_record(work.host, record)


def _settled(attempt: _Attempt) -> HostExecutionResult | None:
    """The host's result where there is nothing to fall back for, or no way to; None where Ansible is to go on."""
    result, progress, work = attempt.result, attempt.progress, attempt.work
    if attempt.why is None:
        assert result is not None
        return result.model_copy(update={"decisions": [_first(work)]})
    if not progress.began and attempt.unsure is None:
        return None
    if progress.failed:
        words = attempt.why
    elif attempt.unsure is not None:
        words = f"{attempt.why}\n{attempt.unsure}: SSH does not go on, for nothing is to be done twice"
    elif (task := unsure(work.payload, progress)) is not None:
        words = (
            f"{attempt.why}\nthe task {task!r} was cut off, and nobody knows what it had done: it is not run again,"
            " by SSH neither (`rerun: true` in the plan lets it be)"
        )
    elif not work.parts:
        words = f"{attempt.why}\nthe compiler's runners do not tell what their tasks leave: SSH cannot go on from there"
    else:
        return None
    return HostExecutionResult(
        host=work.host,
        task_results=[task_result(record) for record in progress.records],
        deployment_method="binary",
        execution_time=attempt.spent,
        error=words,
        decisions=[_first(work)],
    )


def _alike(attempts: Sequence[_Attempt]) -> dict[str, list[_Attempt]]:
    """Those of one slice that have the same left to do, by the name of their first host."""
    groups: dict[tuple[int, tuple[Excerpt, ...]], list[_Attempt]] = {}
    for attempt in attempts:
        left = tuple(remaining(attempt.work.payload, attempt.progress))
        groups.setdefault((id(attempt.work.payload), left), []).append(attempt)
    return {group[0].work.host: group for group in groups.values()}


def _fall_back(attempts: Sequence[_Attempt], means: Means) -> dict[str, HostRun]:
    first = attempts[0]
    left = remaining(first.work.payload, first.progress)
    if not left:
        return {attempt.work.host: HostRun() for attempt in attempts}
    states = {attempt.work.host: attempt.progress.state for attempt in attempts if attempt.progress.began}
    works = [attempt.work for attempt in attempts]
    return run_by_ansible(works, means, excerpts=left, states=states or None)


def _result(attempt: _Attempt, run: HostRun) -> HostExecutionResult:
    work, finished = attempt.work, attempt.progress.finished
    assert attempt.why is not None
    second = DecisionRecord(
        method="ssh", reasons=[attempt.why], degraded=True, finished=finished, spent=attempt.spent, route=route(work)
    )
    error = f"degraded to SSH ({attempt.why}), and there: {run.error}" if run.error is not None else None
    return HostExecutionResult(
        host=work.host,
        task_results=[task_result(record) for record in (*attempt.progress.records, *run.records)],
        deployment_method="ssh",
        execution_time=attempt.spent + run.seconds,
        error=error,
        decisions=[_first(work), second],
    )


def _first(work: HostWork) -> DecisionRecord:
    if work.decision.method != "binary":
        return DecisionRecord(method="binary", reasons=["the strategy is ssh-fallback: a binary first"])
    return DecisionRecord(method="binary", reasons=list(work.decision.reasons))
