from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from harness.models.config import ExpectedOutcome
from harness.models.problems import Keys, known_keys, nearest, path_text, places_of, problems_of, shown, unknown
from harness.models.serde import StrictModel


class Inner(StrictModel):
    name: str
    kind: Literal["disk", "memory"] = "disk"
    size: int | list[int] = 1


class Outer(StrictModel):
    inner: list[Inner] = Field(default_factory=list)
    by_name: dict[str, Inner] = Field(default_factory=dict)
    maybe: Inner | None = None
    outcomes: list[ExpectedOutcome] = Field(default_factory=list)
    count: int = Field(default=1, alias="number")


def words(data: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return [str(problem) for problem in problems_of(caught.value, data, model=Outer, where=path_text)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"inner": 3}, "inner: should be a list, not 3"),
        ({"inner": [3]}, "inner[0]: should be a mapping, not 3"),
        ({"inner": [{}]}, "inner[0].name: missing; it is required"),
        ({"inner": [{"name": None}]}, "inner[0].name: should be text, not nothing"),
        ({"inner": [{"name": "x", "kind": "dsk"}]}, "should be 'disk' or 'memory', not 'dsk'; did you mean disk?"),
        ({"inner": [{"name": "x", "size": {}}]}, "inner[0].size: should be a whole number or a list, not a mapping"),
        ({"by_name": {"a b": {"name": "x", "nme": 1}}}, "by_name['a b'].nme: unknown key; did you mean name?"),
        ({"maybe": {"name": "x", "sizes": 1}}, "maybe.sizes: unknown key; did you mean size?"),
        ({"numbr": 1}, "numbr: unknown key; did you mean number?"),
        ({"zzz": 1}, "zzz: unknown key; known here: inner, by_name, maybe, outcomes, number"),
        (
            {"outcomes": [{"host": "a", "tasks": [{"task_id": "t", "expected_result": {"Failure": {}}}]}]},
            "outcomes[0].tasks[0].expected_result.expected_error: missing; it is required",
        ),
        (
            {
                "outcomes": [
                    {
                        "host": "a",
                        "tasks": [
                            {"task_id": "t", "artifacts": [{"path": "p", "check_type": {"FileSize": {"min": "x"}}}]}
                        ],
                    }
                ]
            },
            "outcomes[0].tasks[0].artifacts[0].check_type.FileSize.min: should be a whole number, not 'x'",
        ),
    ],
)
def test_what_pydantic_found_in_peoples_words(data: Any, expected: str) -> None:
    (found,) = words(data)
    assert expected in found


def test_every_fault_is_told() -> None:
    assert len(words({"inner": [{}, {"name": 1}, 2], "number": "x", "other": 1})) == 5


def test_places_are_of_values_that_exist() -> None:
    data = {"inner": [{}, {"name": 1}]}
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    assert places_of(caught.value, data) == [("inner", 0), ("inner", 1, "name")]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [((), ["inner", "by_name", "maybe", "outcomes", "number"]), (("inner", 0), ["name", "kind", "size"]), (("x",), [])],
)
def test_known_keys(keys: Keys, expected: list[str]) -> None:
    assert known_keys(Outer, keys) == expected
    assert known_keys(Outer, ("by_name", "any")) == known_keys(Outer, ("maybe",)) == ["name", "kind", "size"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "nothing"), (True, "true"), (3, "3"), ("a\nb", r"'a\nb'"), ({}, "a mapping"), ([], "a list")],
)
def test_how_a_value_is_shown(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_a_long_value_is_cut_short() -> None:
    assert len(shown("x" * 1000)) < 80
    assert shown(10**6000) == "a very long number"


def test_the_nearest_name() -> None:
    assert nearest("imge", ["image", "name"]) == "image"
    assert nearest("zzz", ["image", "name"]) is None
    assert unknown("x", []) == "unknown key"
