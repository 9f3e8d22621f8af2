"""What records alone betray: each check finds what it asks for, and accuses nobody who did as the plan says."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.models.runner import ReportRecord
from harness.verify.conduct.catalogue import CHEAP, KINDS, chosen
from harness.verify.conduct.expressions import Result, Unknown, Variables
from harness.verify.conduct.judge import judge
from tests.verify.conduct import accusations, evidence, payload, record, task

ONE, TWO, THREE = task("one"), task("two"), task("three")


def test_levels() -> None:
    assert chosen(["full"]) == set(KINDS)
    assert chosen(["cheap"]) == CHEAP == set(KINDS) - {"tree"}
    assert chosen(["none"]) == set()
    assert chosen(["order", "times"]) == {"order", "times"}
    with pytest.raises(UsageError, match=r"'ordr'.*order"):
        chosen(["ordr"])


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([record("one"), record("two"), record("three")], []),
        ([record("one"), record("two")], ["three: no record of this task, and no failure that explains it"]),
        ([record("one"), record("two"), record("two"), record("three")], ["two: 2 records of this task"]),
        (
            [record("one"), record("two"), record("three"), record("other")],
            ["other: a record of 'other', which the plan does not give to this host"],
        ),
        ([record("one"), record("two", "failed")], []),
        ([record("one"), record("two", "failed"), record("three")], ["two: two failed, and then three ran"]),
        ([record("one"), record("two", "failed", ignored=True), record("three")], []),
    ],
)
def test_complete(records: list[Any], told: list[str]) -> None:
    assert accusations(evidence(payload(ONE, TWO, THREE), *records), "complete") == told


def test_every_item_of_a_loop() -> None:
    plan = payload(task("each", loop=["a", "b", "{{ c }}"]), variables={"c": "c"})
    items = [{"item": "a"}, {"item": "b"}]
    assert accusations(evidence(plan, record("each", result={"results": items})), "complete") == ["each: 2 results"]
    whole = record("each", result={"results": [*items, {"item": "c"}]})
    assert accusations(evidence(plan, whole), "complete") == []


def test_order() -> None:
    plan = payload(ONE, task("two", notify=["h"]), handlers=[task("h")])
    right = [record("one"), record("two", "changed"), record("h", handler=True)]
    assert accusations(evidence(plan, *right), "order") == []
    swapped = [right[1], right[0], right[2]]
    assert accusations(evidence(plan, *swapped), "order") == ["one: one was reported after two"]
    early = [right[0], right[2], right[1]]
    assert accusations(evidence(plan, *early), "order") == ["h: h ran before the task two"]


def test_handlers() -> None:
    one, quiet = task("one", notify=["Restart"]), task("two")
    by_name, by_topic = task("h", name="Restart"), task("listening", listen=["Restart"], notify=["last"])
    plan = payload(one, quiet, handlers=[by_name, by_topic, task("last")])
    told = [record("one", "changed"), record("two", "changed")]
    ran = [record("h", handler=True), record("listening", "changed", handler=True), record("last", handler=True)]
    assert accusations(evidence(plan, *told, *ran), "handlers") == []
    assert accusations(evidence(plan, *told, *ran[:2]), "handlers") == ["last: it did not run"]
    assert accusations(evidence(plan, *told, ran[0], *ran), "handlers") == ["h: it ran 2 times"]
    unasked = [record("one"), record("two", "changed"), ran[0]]
    assert accusations(evidence(plan, *unasked), "handlers") == ["h: it ran once"]
    failed = [record("one", "changed"), record("two", "failed")]
    assert accusations(evidence(plan, *failed), "handlers") == []


CONDITIONAL = task("one", when=["role == 'web'", "port > 80"])


@pytest.mark.parametrize(
    ("variables", "status", "told"),
    [
        ({"role": "web", "port": 443}, "ok", []),
        ({"role": "web", "port": 443}, "skipped", ["one: it was skipped: no reason is told"]),
        ({"role": "db", "port": 443}, "skipped", []),
        ({"role": "db", "port": 443}, "changed", ["one: it ran: changed"]),
        ({"role": "{{ kind }}", "kind": "db", "port": 443}, "changed", ["one: it ran: changed"]),
        ({"role": "web", "port": "443"}, "skipped", []),  # text against a number: not ours to say
        ({"port": 443}, "skipped", []),
    ],
)
def test_when(variables: dict[str, Any], status: str, told: list[str]) -> None:
    found = evidence(payload(CONDITIONAL, variables=variables), record("one", status))
    assert accusations(found, "conditions") == told


def test_when_of_what_was_registered() -> None:
    plan = payload(task("ask", "command", register="r"), task("two", when=["r.rc == 3", "r is changed"]))
    asked = record("ask", "changed", rc=3, result={"rc": 3, "failed_when_result": False}, ignored=False)
    assert accusations(evidence(plan, asked, record("two", "skipped")), "conditions") == [
        "ask: changed, with exit status 3",
        "two: it was skipped: no reason is told",
    ]
    hidden = record("ask", "changed", rc=0)
    assert accusations(evidence(plan, hidden, record("two", "skipped")), "conditions") == []


def test_tags() -> None:
    plan = payload(task("one", tags=["slow"]))
    found = evidence(plan, record("one"), skip_tags=("slow",))
    assert accusations(found, "conditions") == ["one: it ran: ok"]
    assert accusations(evidence(plan, record("one"), tags=("slow",)), "conditions") == []


def test_verdicts_and_attempts() -> None:
    said = task("one", "command", register="r", failed_when=["r.rc > 3"], changed_when=["'new' in r.stdout"])
    fields = {"rc": 3, "result": {"rc": 3, "stdout": "old"}}
    assert accusations(evidence(payload(said), record("one", "ok", **fields)), "conditions") == []
    assert accusations(evidence(payload(said), record("one", "changed", **fields)), "conditions") == ["one: changed"]
    failed = record("one", "failed", **fields)
    assert accusations(evidence(payload(said), failed), "conditions") == ["one: failed"]
    tried = task("one", "command", register="r", until=["r.rc == 0"], retries=4)
    gave_up = record("one", "failed", rc=1, result={"rc": 1}, attempts=2)
    assert accusations(evidence(payload(tried), gave_up), "conditions") == ["one: 2 attempts"]
    assert accusations(evidence(payload(tried), gave_up.model_copy(update={"attempts": 5})), "conditions") == []


def test_exit_status() -> None:
    plan, records = payload(ONE), [record("one", "failed")]
    honest = evidence(plan, *records)
    assert accusations(honest, "exit-status") == []
    (ending,) = honest.endings
    assert isinstance(ending.report, ReportRecord)
    from dataclasses import replace

    lying = evidence(plan, *records, endings=(replace(ending, rc=0),))
    assert accusations(lying, "exit-status") == ["exit status 0", "exit status 0"]
    report = ending.report.model_copy(update={"failed": 0, "plan_id": "q"})
    stale = evidence(plan, *records, endings=(replace(ending, report=report),))
    assert accusations(stale, "exit-status") == ["its report says 0", "its report is of q"]


def test_times() -> None:
    plan = payload(ONE, task("two", "command", timeout=2))
    right = [record("one", start="2026-01-01T00:00:00.5Z"), record("two", start="2026-01-01T00:00:01.123456789Z")]
    assert accusations(evidence(plan, *right, elapsed=3.0), "times") == []
    long = [right[0], right[1].model_copy(update={"duration": 3600.0})]
    assert accusations(evidence(plan, *long, elapsed=3.0), "times") == ["its tasks took 3600.0 s"]
    # A machine may stand still once, and not in the same task twice.
    again = {"elapsed": 4000.0, "part": "second-run"}
    assert accusations(evidence(plan, *long, **again), "times") == []
    told = accusations(evidence(plan, *long, **again, overran={"two"}), "times")
    assert told == ["two: 3600.0 s, and so in the first run"]
    back = [right[0], record("two", start="2025-12-31T23:00:00Z")]
    assert accusations(evidence(plan, *back, elapsed=3.0), "times") == ["two: it began 3600.5 s before"]
    [skipped] = judge(evidence(plan, *back, elapsed=3.0, clock_set=True), ["times"])
    assert (skipped.outcome, skipped.message) == ("skipped", "a fault has set its clock")
    assert accusations(evidence(plan, right[0], record("two", start="now"), elapsed=3.0), "times") == [
        "two: a start 'now'"
    ]
    nothing = [record(name, duration=0) for name in ("one", "two", "three")]
    zeroes = accusations(evidence(payload(ONE, TWO, THREE), *nothing, elapsed=3.0), "times")
    assert zeroes == ["all 3 tasks took 0 s exactly"]


def test_what_later_tasks_saw() -> None:
    plan = payload(task("ask", "command", register="r"), task("tell", "debug", args={"msg": "it says {{ r.stdout }}"}))
    asked = record("ask", "changed", rc=0, result={"rc": 0, "stdout": "yes"})
    right, wrong = record("tell", msg="it says yes"), record("tell", msg="it says ")
    assert accusations(evidence(plan, asked, right), "registered") == []
    assert accusations(evidence(plan, asked, wrong), "registered") == ["tell: it said 'it says '"]
    masked = record("ask", "changed", rc=0, result={"rc": 0, "stdout": "********"})
    assert accusations(evidence(plan, masked, wrong), "registered") == []


KNOWN = Variables(
    {
        "n": 3,
        "text": "Web",
        "yes": True,
        "list": ["a", "b"],
        "other": "{{ text | lower }}",
        "loop": "{{ loop }}",
        "r": Result(changed=True, failed=False, skipped=False, rc=0, stdout="x", secret="********"),
    },
    closed=True,
    hidden=["h"],
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("n == 3 and text == 'Web'", True),
        ("not yes or n in [1, 2]", False),
        ("other == 'web'", True),
        ("'b' in list", True),
        ("list | length > 1", True),
        ("r is changed and r is succeeded and not (r is skipped)", True),
        ("r.rc != 0", False),
        ("missing is defined", False),
        ("missing | default(7) == 7", True),
        ("h is defined", True),
        ("{{ yes }}", True),
        ("1 < n <= 3", True),
    ],
)
def test_conditions_that_can_be_decided(condition: str, holds: bool) -> None:
    assert KNOWN.holds(condition) is holds


@pytest.mark.parametrize(
    "condition",
    [
        "text",  # Ansible and others do not agree on text as a condition
        "n == '3'",
        "missing == 1",
        "h.rc == 0",
        "ansible_os_family == 'Debian'",
        "r.secret == 'x'",
        "r.stdout_lines | length == 1",
        "lookup('env', 'HOME') == 'x'",
        "text is match('W')",
        "list | map('upper') | list == ['A']",
        "loop == 1",
        "n ==",
    ],
)
def test_conditions_that_nobody_can_decide(condition: str) -> None:
    with pytest.raises(Unknown):
        KNOWN.holds(condition)


def test_a_run_that_broke_off_is_not_judged_by_its_records() -> None:
    found = evidence(payload(ONE, TWO), record("one"))
    broken = evidence(
        payload(ONE, TWO), record("one"), result=found.result.model_copy(update={"error": "the runner was killed\n..."})
    )
    (result,) = judge(broken, ["complete"])
    assert (result.outcome, result.actual) == ("skipped", "the run did not end by itself: the runner was killed")
