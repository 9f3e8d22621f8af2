from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data import data_dir
from harness.errors import InvalidInput
from harness.models.config import ExpectFailure, FileSize
from harness.plan import read_plan
from harness.scenario.outcomes import check_outcomes, read_outcomes


def written(folder: Path, value: Any) -> Path:
    path = folder / "o.json"
    path.write_text(json.dumps(value))
    return path


def refused(folder: Path, value: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read_outcomes(written(folder, value))
    return [str(problem).removeprefix("o.json: ") for problem in caught.value.problems]


def check(**fields: Any) -> Any:
    artifact = {"path": "/a", "check_type": "FileExists", "expected_value": "true", **fields}
    return [{"host": "h", "tasks": [{"task_id": "t", "artifacts": [artifact]}]}]


def test_a_list_and_an_object(tmp_path: Path) -> None:
    task = {
        "task_id": "t",
        "expected_result": {"Failure": {"expected_error": "no"}},
        "artifacts": [{"path": "/a", "check_type": {"FileSize": {"min": 1}}, "expected_value": ""}],
        "note": "kept out",
    }
    outcomes = [{"host": "h", "tasks": [task], "performance_threshold": None}]
    plain = read_outcomes(written(tmp_path, outcomes))
    whole = read_outcomes(
        written(tmp_path, {"expected_outcomes": outcomes, "category": "error", "platform": {"image": "debian-12"}})
    )
    assert plain.expected_outcomes == whole.expected_outcomes
    found = plain.expected_outcomes[0].tasks[0]
    assert found.expected_result == ExpectFailure(expected_error="no")
    assert found.artifacts[0].check_type == FileSize(min=1)
    assert (whole.category, whole.platform) == ("error", {"image": "debian-12"})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x", "should be a mapping, not 'x'"),
        ({}, "expected_outcomes: missing; it is required"),
        ([5], "[0]: should be a mapping, not 5"),
        ([{"tasks": []}], "[0].host: missing; it is required"),
        ([{"host": "h"}, {"host": "h"}], "[1].host: the host 'h' comes twice"),
        ([{"host": "h", "task": []}], "[0].task: unknown key; did you mean tasks?"),
        (
            {"expected_outcomes": [{"host": "h", "tasks": [{"task_id": "t", "artifact": []}]}]},
            "expected_outcomes[0].tasks[0].artifact: unknown key; did you mean artifacts?",
        ),
        (
            [{"host": "h", "tasks": [{"task_id": "t"}, {"task_id": "t"}]}],
            "[0].tasks[1].task_id: the task 't' comes twice for this host",
        ),
        ([{"host": "h", "tasks": [{"task_id": "t", "expected_result": "Succes"}]}], "unknown variant 'Succes'"),
        (check(expected_value="yes"), '.expected_value: should be "true" or "false", not \'yes\''),
        (check(check_type="FileMode", expected_value="rw"), ".expected_value: should be an octal mode"),
        (check(check_type={"FileContent": {"regex": True}}, expected_value="("), ".expected_value: is no regular"),
        (check(check_type={"FileSize": {}}, expected_value="big"), ".expected_value: should be a size in bytes"),
        (check(check_type={"FileSize": {"min": 2, "max": 1}}), ".check_type: min 2 is more than max 1"),
        (check(check_type={"FileSize": {"min": -2}}), ".check_type: a size is not negative"),
        (check(check_type="ServiceStatus", expected_value="up"), ".expected_value: should be one or more of absent"),
        (check(path=""), ".path: is empty"),
        (check(check_type={"FileSize": {"min": "x"}}), ".check_type.FileSize.min: should be a whole number"),
        ({"expected_outcomes": [], "category": "odd"}, "category: should be "),
        ({"expected_outcomes": [], "descripton": ""}, "descripton: unknown key; did you mean description?"),
    ],
)
def test_what_is_wrong(tmp_path: Path, value: Any, problem: str) -> None:
    found = refused(tmp_path, value)
    assert len(found) == 1
    assert problem in found[0]


def test_all_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, [*check(path=""), *check(check_type="FileMode")])) == 3


def test_against_the_plan() -> None:
    fixtures = data_dir("fixtures")
    path = fixtures / "expected_outcomes" / "multi_host_plan_outcomes.json"
    plan = read_plan(fixtures / "execution_plans" / "multi_host_plan.json")
    outcomes = read_outcomes(path).expected_outcomes
    assert check_outcomes(outcomes, plan, source=path) == []
    strange = [
        outcome.model_copy(update={"host": {"web1": "wbe1", "web2": "db1"}.get(outcome.host, "x")})
        for outcome in outcomes
    ]
    words = [str(problem) for problem in check_outcomes(strange, plan, source=path)]
    assert any("expected_outcomes[0].host: the plan has no host 'wbe1'; did you mean 'web1'?" in word for word in words)
    assert any("the task 'site' is not for the host 'db1'" in word for word in words)
