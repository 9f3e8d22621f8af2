"""The strategy force-ssh: everything by Ansible, nothing by binary."""

from __future__ import annotations

from collections.abc import Sequence

from harness.deploy.ansible_run import HostRun, route, run_by_ansible
from harness.deploy.means import Deployed, HostWork, Means
from harness.deploy.records import task_result
from harness.models.results import DecisionRecord, HostExecutionResult


def deploy(works: Sequence[HostWork], means: Means) -> Deployed:
    """One playbook for each slice, side by side."""
    deployed = Deployed({}, {})
    slices = by_slice(works)
    done, failed = means.each(list(slices), lambda name: run_by_ansible(slices[name], means))
    for runs in done.values():
        deployed.results.update({host: _result(host, run, works) for host, run in runs.items()})
    for name, error in failed.items():
        deployed.failed.update({work.host: error for work in slices[name]})
    return deployed


def by_slice(works: Sequence[HostWork]) -> dict[str, list[HostWork]]:
    """Those with the same tasks together, by the name of their first host."""
    groups: dict[int, list[HostWork]] = {}
    for work in works:
        groups.setdefault(id(work.payload), []).append(work)
    return {group[0].host: group for group in groups.values()}


def _result(host: str, run: HostRun, works: Sequence[HostWork]) -> HostExecutionResult:
    work = next(work for work in works if work.host == host)
    decision = DecisionRecord(method="ssh", reasons=list(work.decision.reasons), route=route(work))
    return HostExecutionResult(
        host=host,
        task_results=[task_result(record) for record in run.records],
        deployment_method="ssh",
        execution_time=run.seconds,
        error=run.error,
        decisions=[decision],
    )
