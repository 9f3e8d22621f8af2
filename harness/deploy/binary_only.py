"""The strategy binary-only: each host's binary, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from harness.deploy.binary import BinaryRun, run_binary
from harness.deploy.means import Deployed, HostWork, Means
from harness.models.results import DecisionRecord, HostExecutionResult


def deploy(works: Sequence[HostWork], means: Means) -> Deployed:
    """Push and run on all hosts side by side."""
    of_host = {work.host: work for work in works}

    def one(host: str) -> HostExecutionResult:
        work = of_host[host]
        result = run_binary(binary_run(work, means), deadline=means.deadline, cancellation=means.cancellation)
        decision = DecisionRecord(method="binary", reasons=list(work.decision.reasons))
        return result.model_copy(update={"decisions": [decision]})

    return Deployed(*means.each(list(of_host), one))


def binary_run(work: HostWork, means: Means) -> BinaryRun:
    """The host's binary, with all that it needs."""
    assert work.binary is not None
    return BinaryRun(
        host=work.host,
        connection=work.connection,
        binary=work.binary,
        arguments=means.arguments.of_runner(),
        secrets={name: means.secrets[name] for name in work.payload.secrets},
        env={**work.binary.environment, **means.env},
        mask=means.mask,
        on_event=lambda message: means.on_event(work.host, message),
        on_pushing=lambda: means.on_pushing(work.host),
        on_start=lambda task_id: means.on_start(work.host, task_id),
        on_record=lambda record: means.on_record(work.host, record),
        on_ended=lambda ending: means.on_ended(work.host, ending),
        payload=work.payload,
        again=means.again,
        on_line=lambda line: means.on_line(f"{work.host}: {line}"),
    )
