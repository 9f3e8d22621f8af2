"""Generated and mutated inputs end in a value or in InvalidInput, never in anything else.

`HARNESS_FUZZ=N` tries N of each.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli.outcome import show
from harness.compile.base import Honours
from harness.data import data_dir
from harness.errors import InvalidInput
from harness.models.plan import Plan
from harness.models.runner import Payload
from harness.plan import check_file, dependency_graph, plan_warnings, read_plan, run_options, secrets_of, slices
from harness.plan.render import GRAPHS, tree
from harness.scenario.outcomes import check_outcomes, read_outcomes
from tests.plan.mutations import Mutation, bytes_mutations, mutated, mutations

EXAMPLES = int(os.environ.get("HARNESS_FUZZ", "250"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="HARNESS_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FIXTURES = data_dir("fixtures")
SMALL = ["simple_plan", "multi_host_plan", "dependency_plan", "mixed_modules_plan", "error_plan", "older_format_plan"]


def documents(folder: str, suffix: str) -> list[Any]:
    return [json.loads((FIXTURES / folder / f"{name}{suffix}.json").read_text()) for name in SMALL]


PLANS = documents("execution_plans", "")
OUTCOMES = documents("expected_outcomes", "_outcomes")

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where plans find the files that the fixtures copy."""
    here = tmp_path_factory.mktemp("fuzz")
    for name in ("files", "templates"):
        (here / name).symlink_to(FIXTURES / "execution_plans" / name)
    return here


def use(path: Path, honours: Honours) -> None:
    """All that the verbs do with a plan."""
    try:
        checked = check_file(path, honours=honours, platforms=["node1"], secrets=["X"])
        if not checked.errors:
            assert read_plan(path) == checked.plan
        plan = read_plan(path)
    except InvalidInput as error:
        assert error.problems
        assert all(problem.where.startswith(path.name) and problem.message for problem in error.problems)
        show(error)
        return
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan
    plan_warnings(plan, honours=honours, platforms=["node1"], source=path)
    run_options(plan)
    graph = dependency_graph(plan)
    for form in GRAPHS.values():
        form(graph)
    tree(plan)
    try:
        for payload in slices(plan, source=path, secrets=secrets_of(plan, path)):
            embedded = payload.model_dump_json(by_alias=True)
            assert Payload.model_validate_json(embedded).model_dump_json(by_alias=True) == embedded
    except InvalidInput as error:
        assert all(problem.message for problem in error.problems)


@fuzzed
@given(number=st.integers(0, len(SMALL) - 1), changes=mutations, bytes_changes=st.just([]) | bytes_mutations)
def test_a_mutated_plan(
    folder: Path, honours: Honours, number: int, changes: list[Mutation], bytes_changes: list[Mutation]
) -> None:
    path = folder / "plan.json"
    path.write_bytes(mutated(PLANS[number], changes, bytes_changes))
    use(path, honours)


@fuzzed
@given(number=st.integers(0, len(SMALL) - 1), changes=mutations, bytes_changes=st.just([]) | bytes_mutations)
def test_mutated_outcomes(folder: Path, number: int, changes: list[Mutation], bytes_changes: list[Mutation]) -> None:
    path = folder / "outcomes.json"
    path.write_bytes(mutated(OUTCOMES[number], changes, bytes_changes))
    plan = read_plan(FIXTURES / "execution_plans" / f"{SMALL[number]}.json")
    try:
        found = read_outcomes(path)
    except InvalidInput as error:
        assert error.problems
        assert all(problem.where.startswith(path.name) and problem.message for problem in error.problems)
        return
    check_outcomes(found.expected_outcomes, plan, source=path)
    json.dumps(found.model_dump(mode="json"))


@pytest.mark.parametrize("read", [read_plan, read_outcomes], ids=["plan", "outcomes"])
@fuzzed
@given(content=st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_content(folder: Path, read: Callable[[Path], object], content: bytes) -> None:
    path = folder / "any.json"
    path.write_bytes(content)
    try:
        read(path)
    except InvalidInput as error:
        assert error.problems


def test_the_mutations_break_some_plans_and_not_others(folder: Path, honours: Honours) -> None:
    """A fuzz test whose inputs are all refused, or none, tests little."""
    dice = random.Random(110)
    path = folder / "plan.json"
    refused = 0
    for _ in range(100):
        changes = [
            (dice.randrange(10), dice.randrange(10_000), dice.randrange(10_000)) for _ in range(dice.randrange(4))
        ]
        path.write_bytes(mutated(PLANS[dice.randrange(len(PLANS))], changes, []))
        try:
            read_plan(path)
        except InvalidInput:
            refused += 1
    assert 30 < refused < 90
