"""Each side is a run of its own on platforms of its own, one after the other; then they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from harness.compare.allowances import AllowList
from harness.compare.judge import compared, unstable
from harness.compare.machines import unknown
from harness.compare.taken import Taken, survey, take
from harness.compare.ways import Way
from harness.lifecycle.context import RunOptions
from harness.lifecycle.events import Observer
from harness.models.compare import CompareReport, Comparison, Verdict
from harness.models.scenario import Scenario
from harness.secrets import Mask, read_secrets


def compare(
    scenario: Scenario, ways: Sequence[Way], options: RunOptions, observer: Observer, *, control: bool = False
) -> CompareReport:
    """Run every way, and compare each other one with the first. `control`: the first is run once more, and where it
    differs from itself the others may. Raises what `perform` raises, and Interrupted."""
    started = datetime.now(UTC)
    options = replace(options, checks=frozenset())  # a side is judged by the other
    first = take(ways[0], options, observer)
    # What the first has touched is looked at on the others, too, be it as the plan found it.
    wanted = [*([replace(ways[0], name=f"{ways[0].name}, again")] if control else []), *ways[1:]]
    others = [take(way, replace(options, sums=first.all_touched), observer) for way in wanted]
    taken = [first, *others]
    _complete(first, others, options)
    not_stable = unstable(first, others.pop(0)) if control else frozenset()
    allowed = AllowList(scenario.compare.allow)
    broken = {host: why for host in first.hosts if (why := _on_all_sides(taken, host)) is not None}
    complete = [other for other in others if first.complete and other.complete]
    comparisons = [compared(first, other, allowed, not_stable) for other in complete]
    unused = [f"{one.where}: nothing was allowed by it ({one.reason})" for one in allowed.unused()]
    report = CompareReport(
        scenario=scenario.name,
        plan=str(scenario.provisioner.plan),
        started=started,
        verdict=_verdict(taken, comparisons, broken),
        sides=[one.side for one in taken],
        comparisons=comparisons,
        broken=broken,
        warnings=[*_fallen_back(taken), *unused],
    )
    # Of a machine more is seen than what a run tells, which is masked: command lines, names of files.
    secrets = read_secrets(scenario.provisioner.secrets, scenario=scenario.name, all_of_them=False)
    return CompareReport.model_validate(Mask(secrets.values()).tree(report.model_dump())) if secrets else report


def _complete(first: Taken, others: Sequence[Taken], options: RunOptions) -> None:
    """What the others have touched and the first has not: its machines have gone, but there they were as on a fresh
    one."""
    mine = first.ledger.observed
    paths = {
        path
        for other in others
        for host, observed in other.ledger.observed.items()
        if host in mine
        for path in unknown(mine[host], observed)
    }
    fresh = survey(first.way, replace(options, sums=frozenset(paths))) if paths else {}
    for host, seen in fresh.items():
        untouched = paths - mine[host].touched
        mine[host].after.files.update({path: seen.after.files[path] for path in untouched & seen.after.files.keys()})
        mine[host].texts.update({path: seen.texts[path] for path in untouched & seen.texts.keys()})


def _fallen_back(taken: Sequence[Taken]) -> list[str]:
    """Hosts whose strategy wants a binary and that got none: there it is not the compiler that is compared."""
    return [
        f"{one.side.name}: {host.host} was deployed by ssh, as {strategy} allows: Ansible is compared, not the compiler"
        for one in taken
        for host in one.side.hosts
        if host.method == "ssh" and (strategy := one.side.strategies[host.host]) != "force-ssh"
    ]


def _on_all_sides(taken: Sequence[Taken], host: str) -> str | None:
    """Why a host's run did not come to its end, where none did."""
    reasons = [one.broken(host) for one in taken]
    return reasons[0] if all(reason is not None for reason in reasons) else None


def _verdict(taken: Sequence[Taken], comparisons: Sequence[Comparison], broken: Mapping[str, str]) -> Verdict:
    if broken or any(one.side.error is not None for one in taken):
        return "error"
    if any(one.differences for one in comparisons):
        return "different"
    return "same" if any(one.compared for one in comparisons) else "nothing"
