"""All checks of a verify job, in the order they are made, each with an id of its own."""

from __future__ import annotations

from collections import Counter

from harness.models.verification import VerifyJob
from harness.verify.checks import Check
from harness.verify.derive import derive, unchecked
from harness.verify.expectations import expectation_checks


def checks_of(job: VerifyJob) -> list[Check]:
    """From expectations, then from the plan. Raises InvalidInput with every expectation that cannot be met."""
    hosts = [host.platform for host in job.hosts]
    results = [result for result in job.host_results if result.host in hosts]
    found = expectation_checks(job.expected, hosts=hosts, plan=job.plan, results=results)
    if job.derive_from_plan and job.plan is not None:
        found += derive(job.plan, results, {host.platform: host.variables for host in job.hosts})
    place = {host: position for position, host in enumerate(hosts)}
    return sorted(found, key=lambda check: place[check.host])


def unchecked_of(job: VerifyJob, checks: list[Check]) -> list[str]:
    """What the plan made on the hosts of this job and no check looks at."""
    hosts = {host.platform for host in job.hosts}
    if job.ansible is not None:
        return []  # no plan says what a playbook makes; Molecule's users test what they choose to
    return unchecked(job.plan, [result for result in job.host_results if result.host in hosts], checks)


def unique_ids(checks: list[Check]) -> list[str]:
    """The checks' ids; what would come twice gets `#2`, `#3` ..."""
    count: Counter[str] = Counter()
    ids = []
    for check in checks:
        count[check.id] += 1
        ids.append(check.id if count[check.id] == 1 else f"{check.id}#{count[check.id]}")
    return ids
