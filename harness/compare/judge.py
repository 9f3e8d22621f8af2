"""Two sides beside one another: every difference is explained by a rule, allowed by the scenario, or told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import unified_diff

from harness.compare.allowances import AllowList
from harness.compare.machines import has_changed, machine_differences
from harness.compare.rules import Circumstances, Rule, explained
from harness.compare.taken import Taken
from harness.compare.tasks import task_differences, task_times
from harness.models.compare import Allowed, Comparison, Difference, LeftOut

_LONGEST = 2000
"""Characters."""


Thing = tuple[str, str, str, str]
"""Host, kind, name and field of a difference."""

_NOT_STABLE = Rule("not twice the same", "the first side differs from itself here", lambda *_: False)


def unstable(first: Taken, again: Taken) -> frozenset[Thing]:
    """What two runs of the same way do not have alike."""
    return frozenset(_thing(one) for one in _differences(first, again))


def compared(first: Taken, second: Taken, allowed: AllowList, not_stable: Collection[Thing] = ()) -> Comparison:
    """One side against another. `not_stable`: what says nothing when it differs."""
    names = (*first.way.aliases, *second.way.aliases)
    allowed.compared(names)
    told: list[Difference] = []
    taken_in: list[Allowed] = []
    left_out: dict[str, tuple[Rule, list[Difference]]] = {}
    for one in map(with_detail, _differences(first, second)):
        rule = explained(one, _circumstances(one, first, second)) or (
            _NOT_STABLE if _thing(one) in not_stable else None
        )
        if rule is not None:
            left_out.setdefault(rule.name, (rule, []))[1].append(one)
        elif (entry := allowed.find(one, names)) is not None:
            taken_in.append(Allowed(difference=one, reason=entry.reason))
        else:
            told.append(one)
    hosts = _hosts(first, second)
    return Comparison(
        first=first.way.name,
        second=second.way.name,
        compared=sum(len({record.task_id for side in (first, second) for record in side.of(host)}) for host in hosts),
        differences=told,
        allowed=taken_in,
        left_out=[_left_out(rule, found) for rule, found in left_out.values()],
        times=[times for host in hosts for times in task_times(host, first.of(host), second.of(host))],
    )


def _thing(difference: Difference) -> Thing:
    return difference.host, difference.kind, difference.name, difference.field


def _circumstances(difference: Difference, first: Taken, second: Taken) -> Circumstances:
    host = difference.host
    observed = [side.ledger.observed[host] for side in (first, second) if host in side.ledger.observed]
    return Circumstances(
        methods=frozenset({first.method(host), second.method(host)}),
        touched=len(observed) < 2 or any(has_changed(one, difference.kind, difference.name) for one in observed),
    )


def with_detail(difference: Difference) -> Difference:
    """With texts of several lines line by line."""
    texts = (difference.first or "", difference.second or "")
    if difference.detail or not any("\n" in text for text in texts):
        return difference
    one, other = (text.splitlines() for text in texts)
    if all(texts) and texts[0].endswith("\n") != texts[1].endswith("\n"):
        (other if texts[0].endswith("\n") else one).append("\\ no newline at the end")
    lines = list(unified_diff(one, other, lineterm="", n=1))[2:]
    return difference.model_copy(update={"detail": "\n".join(line for line in lines if not line.startswith("@@"))})


def _differences(first: Taken, second: Taken) -> Iterator[Difference]:
    for host in _hosts(first, second):
        yield from _run_differences(host, first, second)
        yield from task_differences(host, first.of(host), second.of(host))
        here, there = first.ledger.observed.get(host), second.ledger.observed.get(host)
        if here is not None and there is not None:
            yield from machine_differences(host, here, there)


def _run_differences(host: str, first: Taken, second: Taken) -> Iterator[Difference]:
    """A run that did not come to its end, on one side or on both in other words."""
    one, other = first.broken(host), second.broken(host)
    if one != other:
        yield Difference(host=host, kind="run", name="end", field="error", first=one, second=other)


def _hosts(first: Taken, second: Taken) -> list[str]:
    sides = (first, second)
    return list(dict.fromkeys(host for side in sides for host in [*side.ledger.observed, *side.ledger.host_results]))


def _left_out(rule: Rule, found: Sequence[Difference]) -> LeftOut:
    return LeftOut(rule=rule.name, reason=rule.reason, differences=[_cut(one) for one in found])


def _cut(difference: Difference) -> Difference:
    """A log that is left out need not stand in the report whole."""
    values = {
        name: text[:_LONGEST] + " ..."
        for name in ("first", "second", "detail")
        if (text := getattr(difference, name)) is not None and len(text) > _LONGEST
    }
    return difference.model_copy(update=values) if values else difference
