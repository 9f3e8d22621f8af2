"""Results of tasks as expected, and expectations that do not fit the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harness.errors import InvalidInput
from harness.models.config import ExpectedOutcome
from harness.models.plan import Plan
from harness.models.results import Failed, HostExecutionResult, Skipped, Success, TaskExecutionResult
from harness.verify.expectations import expectation_checks, octal, service_states
from harness.verify.seen import Seen


def result_of(**fields: Any) -> HostExecutionResult:
    record = TaskExecutionResult(task_id="t", **fields)
    return HostExecutionResult(host="node1", task_results=[record], deployment_method="binary", execution_time=0)


def plan_of(hosts: Sequence[str] = ("node1", "node2")) -> Plan:
    tasks = [{"task_id": "t", "name": "Task", "module": "debug", "hosts": ["node1"]}]
    handlers = [{"handler_id": "h", "module": "debug"}]
    play = {"play_id": "p", "batches": [{"batch_id": "b", "tasks": tasks}], "handlers": handlers}
    return Plan.model_validate({"metadata": {}, "hosts": list(hosts), "plays": [play]})


def judged(expected: object, *results: HostExecutionResult) -> str:
    outcome = ExpectedOutcome.model_validate(
        {"host": "node1", "tasks": [{"task_id": "t", "expected_result": expected}]}
    )
    [check] = expectation_checks([outcome], hosts=["node1"], plan=plan_of(), results=results)
    return check.question.judge(Seen(run=lambda _: pytest.fail("nothing is run"))).outcome


SUCCEEDED = {"status": Success()}
FAILED = {"status": Failed(error="no space left on /srv"), "stderr": "cp: failed"}
SKIPPED = {"status": Skipped(reason="Conditional result was False: x == 1")}


@pytest.mark.parametrize(
    ("expected", "fields", "passes"),
    [
        ("Success", SUCCEEDED, True),
        ("Success", FAILED, False),
        ("Success", SKIPPED, False),
        ("Success", FAILED | {"ignored": True}, False),
        ({"Failure": {"expected_error": "no space left"}}, FAILED, True),
        ({"Failure": {"expected_error": "no space.*srv$"}}, FAILED, True),
        ({"Failure": {"expected_error": "cp: failed"}}, FAILED, True),
        ({"Failure": {"expected_error": ""}}, FAILED, True),
        ({"Failure": {"expected_error": "permission denied"}}, FAILED, False),
        ({"Failure": {"expected_error": "(["}}, FAILED, False),
        ({"Failure": {"expected_error": ""}}, SUCCEEDED, False),
        ({"Failure": {"expected_error": ""}}, SKIPPED, False),
        ({"Skip": {"reason": "x == 1"}}, SKIPPED, True),
        ({"Skip": {"reason": ""}}, SKIPPED, True),
        ({"Skip": {"reason": "y == 1"}}, SKIPPED, False),
        ({"Skip": {"reason": ""}}, SUCCEEDED, False),
        ({"Skip": {"reason": ""}}, FAILED, False),
    ],
)
def test_results_of_tasks(expected: object, fields: dict[str, Any], passes: bool) -> None:
    assert judged(expected, result_of(**fields)) == ("passed" if passes else "failed")


def test_a_task_that_did_not_run_fails_and_an_unknown_run_is_skipped() -> None:
    other = HostExecutionResult(host="node1", task_results=[], deployment_method="binary", execution_time=0)
    for expected in ("Success", {"Failure": {"expected_error": ""}}, {"Skip": {"reason": ""}}):
        assert judged(expected, other) == "failed"
        assert judged(expected) == "skipped"


def test_a_failure_is_not_hidden_by_a_later_record() -> None:
    records = [TaskExecutionResult(task_id="t", **FAILED), TaskExecutionResult(task_id="t", **SUCCEEDED)]
    result = HostExecutionResult(host="node1", task_results=records, deployment_method="binary", execution_time=0)
    assert judged("Success", result) == "failed"


def test_the_method_of_deployment() -> None:
    for method, passes in (("binary", True), ("Binary", True), ("ssh", False)):
        outcome = ExpectedOutcome(host="node1", expected_method=method)
        [check] = expectation_checks([outcome], hosts=["node1"], plan=plan_of(), results=[result_of(**SUCCEEDED)])
        assert check.question.judge(Seen(run=lambda _: pytest.fail("nothing is run"))).passed is passes


def test_all_that_does_not_exist_is_named_at_once() -> None:
    artifact = {"path": "web", "check_type": "ServiceStatus", "expected_value": "flying"}
    outcomes = [
        ExpectedOutcome.model_validate({"host": "nod1"}),
        ExpectedOutcome.model_validate({"host": "node1", "tasks": [{"task_id": "x"}, {"task_id": "h"}]}),
        ExpectedOutcome.model_validate({"host": "node2", "tasks": [{"task_id": "t"}]}),
        ExpectedOutcome.model_validate({"host": "node1", "tasks": [{"task_id": "t", "artifacts": [artifact]}]}),
    ]
    with pytest.raises(InvalidInput) as error:
        expectation_checks(outcomes, hosts=["node1", "node2"], plan=plan_of(), results=[])
    assert [problem.where for problem in error.value.problems] == [
        "expected_outcomes[0].host",
        "expected_outcomes[1].tasks[0].task_id",
        "expected_outcomes[2].tasks[0].task_id",
        "expected_outcomes[3].tasks[0].artifacts[0]",
    ]


def test_hosts_that_this_run_leaves_out_are_no_error() -> None:
    outcome = ExpectedOutcome.model_validate({"host": "node2", "tasks": [{"task_id": "anything"}]})
    assert expectation_checks([outcome], hosts=["node1"], plan=plan_of(), results=[]) == []


def test_values() -> None:
    assert octal("0644") == octal("644") == octal("0o644") == 0o644
    assert octal("4755") == 0o4755
    assert service_states("web", "Running, enabled,active") == ("running", "enabled")
    with pytest.raises(ValueError, match="no wildcard"):
        service_states("web*", "running")
