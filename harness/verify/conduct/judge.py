"""All checks of one host's run, as results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from harness.models.results import CheckResult
from harness.verify.conduct.catalogue import asks, check_id
from harness.verify.conduct.conditions import conditions
from harness.verify.conduct.contents import contents
from harness.verify.conduct.evidence import Evidence, Finding
from harness.verify.conduct.leaks import secrets
from harness.verify.conduct.report import complete, exit_status, handlers, order
from harness.verify.conduct.strangers import may_ask, network, strangers, unverified
from harness.verify.conduct.traces import traces
from harness.verify.conduct.tree import tree
from harness.verify.conduct.values import registered_values, times

Check = Callable[[Evidence], Iterator[Finding]]

OF_RECORDS: Mapping[str, Check] = {
    "complete": complete,
    "order": order,
    "conditions": conditions,
    "handlers": handlers,
    "exit-status": exit_status,
    "times": times,
    "registered": registered_values,
}
OF_MACHINE: Mapping[str, Check] = {
    "contents": contents,
    "traces": traces,
    "strangers": strangers,
    "network": network,
    "tree": tree,
}
_MOST = 20
"""Findings of one check on one host that are told; a runner that is wrong in one way may be so in every task."""


def judge(evidence: Evidence, wanted: Collection[str]) -> list[CheckResult]:
    """One result for each wanted check that found nothing (or could not look, and why), one for each finding."""
    results: list[CheckResult] = []
    trouble = evidence.trouble
    for check, look in (*OF_RECORDS.items(), *OF_MACHINE.items(), ("secrets", secrets)):
        if check not in wanted:
            continue
        why = _cannot(check, evidence, trouble)
        results += [skipped(evidence, check, why)] if why else told(evidence, check, look(evidence))
    return results


def _cannot(check: str, evidence: Evidence, trouble: str | None) -> str | None:
    """Why this check has nothing to judge by."""
    if check == "secrets":
        return None
    if trouble is not None and check != "exit-status":
        return trouble
    told_by = evidence.result.results
    if told_by == "exit-status" and (check in OF_RECORDS or check == "traces"):
        return "the runner tells its results by its exit status alone"
    if told_by != "runner" and check in ("exit-status", "network"):
        return "the runner tells its results by a report of its own, over the network"
    if check in ("times", "exit-status") and not evidence.endings:
        return "no binary ran there: Ansible keeps its own time, and its own status"
    if check == "times" and evidence.clock_set:
        return "a fault has set its clock"
    if check not in OF_MACHINE:
        return None
    if evidence.before is None or evidence.after is None or (check == "tree" and evidence.trees is None):
        return f"nobody could look at the machine: {evidence.unseen or 'no reason is known'}"
    return _not_the_runners(check, evidence)


def _not_the_runners(check: str, evidence: Evidence) -> str | None:
    """Why what is seen cannot be told from what others did."""
    if check in ("contents", "traces"):
        return None
    if evidence.result.deployment_method != "binary":
        return "Ansible was at work there, too"
    if check == "strangers":
        return None
    if not evidence.alone:
        return OTHERS
    if check == "network" and (asking := may_ask(evidence)):
        return f"these may need a network: {', '.join(asking)}"
    return None


OTHERS = "others are at work there (an init system, an SSH server, a fault, the host's network)"


def told(evidence: Evidence, check: str, findings: Iterable[Finding]) -> list[CheckResult]:
    found = list(findings)
    if found:
        return failed(evidence, check, found)
    name = check_id(evidence.host, evidence.part, check)
    return [CheckResult(check=name, outcome="passed", expected=asks(check), actual=_narrowed(check, evidence))]


def _narrowed(check: str, evidence: Evidence) -> str:
    """What was not looked at by a check that found nothing."""
    if check == "strangers" and not evidence.alone:
        return f"the runner itself has ended; no more is judged: {OTHERS}"
    if check in ("strangers", "tree") and (opaque := unverified(evidence)):
        return f"unverified, as nothing tells what they and all after them did: {', '.join(opaque)}"
    if check == "traces" and not evidence.alone:
        return f"nothing else was seen; what is not reported as changed is not judged: {OTHERS}"
    return "nothing else was seen"


def failed(evidence: Evidence, check: str, findings: list[Finding]) -> list[CheckResult]:
    """Each finding as a result; what is too much is counted in the last one."""
    results = []
    for number, finding in enumerate(findings[:_MOST]):
        more = len(findings) - _MOST if number == _MOST - 1 else 0
        task = f", task {finding.task_id}" if finding.task_id else ""
        results.append(
            CheckResult(
                check=check_id(evidence.host, finding.task_id or evidence.part, check),
                outcome="failed",
                message=f"{evidence.host}{task}: {asks(check)}: {finding.observed}",
                expected=finding.expected,
                actual=finding.observed + (f" (and {more} more)" if more > 0 else ""),
                hint=f"docs/checks.md#{check}",
            )
        )
    return results


def skipped(evidence: Evidence, check: str, why: str) -> CheckResult:
    return CheckResult(
        check=check_id(evidence.host, evidence.part, check),
        outcome="skipped",
        message=why,
        expected=asks(check),
        actual=why,
    )
