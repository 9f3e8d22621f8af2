"""The older format's conditions mean in Jinja what they mean to rustle."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from harness.plan.conditions import older

VARIABLES = {
    "system": "Linux",
    "cores": 8,
    "version": "12",
    "debug": True,
    "nothing": None,
    "empty": "",
    "quoted": 'a "b" \\ {{ c }}\n',
    "tags": ["a", "b"],
    "nested": {"deep": {"value": "x"}, "list": [{"name": "n"}]},
}


def holds(variable: str, operator: str, value: Any = None) -> bool:
    (expression,) = older([{"variable": variable, "operator": operator, "value": value}])
    source = "{% if " + str(expression) + " %}yes{% else %}no{% endif %}"
    return Environment(undefined=StrictUndefined).from_string(source).render(VARIABLES) == "yes"


@pytest.mark.parametrize(
    ("variable", "operator", "value", "expected"),
    [
        ("system", "Equals", "Linux", True),
        ("system", "Equals", "linux", False),
        ("system", "NotEquals", "Darwin", True),
        ("cores", "Equals", 8, True),
        ("cores", "Equals", "8", True),
        ("version", "Equals", 12, True),
        ("version", "NotEquals", 12, False),
        ("debug", "Equals", True, True),
        ("quoted", "Equals", 'a "b" \\ {{ c }}\n', True),
        ("tags", "Equals", ["a", "b"], True),
        ("missing", "Equals", "x", False),
        ("missing", "NotEquals", "x", True),
        ("missing", "Equals", None, True),
        ("nothing", "Equals", None, True),
        ("nested.deep.value", "Equals", "x", True),
        ("nested.shallow.value", "Equals", "x", False),
        ("nested.list[0].name", "Equals", "n", True),
        ("nested['deep'].value", "Equals", "x", True),
        ("missing.deep.value", "NotEquals", "x", True),
        ("system", "Contains", "inu", True),
        ("system", "Contains", "bsd", False),
        ("tags", "Contains", "a", True),
        ("system", "Contains", ["Linux", "Darwin"], True),
        ("missing", "Contains", "x", False),
        ("system", "StartsWith", "Lin", True),
        ("system", "StartsWith", "in", False),
        ("cores", "StartsWith", 8, True),
        ("system", "StartsWith", "", True),
        ("system", "EndsWith", "nux", True),
        ("system", "EndsWith", "Lin", False),
        ("system", "EndsWith", "", True),
        ("missing", "EndsWith", "x", False),
        ("cores", "GreaterThan", 4, True),
        ("cores", "GreaterThan", 8, False),
        ("cores", "LessThan", 8.5, True),
        ("system", "Exists", None, True),
        ("empty", "Exists", None, True),
        ("nothing", "Exists", None, False),
        ("missing", "Exists", None, False),
        ("nested.deep.nope", "Exists", None, False),
        ("missing", "NotExists", None, True),
        ("nothing", "NotExists", None, True),
        ("system", "NotExists", None, False),
    ],
)
def test_a_condition(variable: str, operator: str, value: Any, expected: bool) -> None:
    assert holds(variable, operator, value) is expected
