from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.models.plan import Batch, Plan, PlanMetadata, Play, Task
from harness.plan import dependency_graph, ordered_tasks
from tests.plan.conftest import Json, newer, task

Read = Callable[[Any], Plan]
Faults = Callable[[Any], list[str]]


def batched(*batches: Json) -> Json:
    plan = newer()
    plan["plays"][0]["batches"] = list(batches)
    return plan


def order(plan: Plan) -> list[str]:
    return [found.task_id for found in ordered_tasks(plan)]


def test_execution_order_then_the_file_s_order(read: Read) -> None:
    tasks = [task("c", execution_order=2), task("b", execution_order=1), task("a", execution_order=1)]
    assert order(read(newer(*tasks))) == ["b", "a", "c"]


def test_dependencies_go_before_all_else(read: Read) -> None:
    plan = batched(
        {"batch_id": "one", "tasks": [task("a", dependencies=["z"]), task("b")]},
        {"batch_id": "two", "tasks": [task("z", execution_order=9), task("y")]},
    )
    assert order(read(plan)) == ["b", "y", "z", "a"]


def test_a_batch_waits_for_the_whole_of_another(read: Read) -> None:
    plan = batched(
        {"batch_id": "roof", "tasks": [task("tiles")], "dependencies": ["walls"]},
        {"batch_id": "walls", "tasks": [task("north"), task("south")], "dependencies": ["ground"]},
        {"batch_id": "ground", "tasks": [task("floor")]},
    )
    assert order(read(plan)) == ["floor", "north", "south", "tiles"]


def test_an_empty_batch_hands_waiting_on(read: Read) -> None:
    plan = batched(
        {"batch_id": "c", "tasks": [task("last")], "dependencies": ["b"]},
        {"batch_id": "b", "tasks": [], "dependencies": ["a"]},
        {"batch_id": "a", "tasks": [task("first")]},
    )
    assert order(read(plan)) == ["first", "last"]


def test_a_cycle_is_shown_from_its_first_task(faults: Faults) -> None:
    tasks = [task("a", dependencies=["c"]), task("b", dependencies=["a"]), task("c", dependencies=["b"]), task("d")]
    path = "plays[0].batches[0].tasks[0].dependencies"
    assert faults(newer(*tasks)) == [f"{path}: these wait for each other: a -> c -> b -> a"]


def test_every_cycle_is_shown(faults: Faults) -> None:
    tasks = [
        task("self", dependencies=["self"]),
        task("a", dependencies=["b"]),
        task("b", dependencies=["a"]),
        task("c", dependencies=["d"]),
        task("d", dependencies=["c"]),
    ]
    found = sorted(problem.rpartition("other: ")[2] for problem in faults(newer(*tasks)))
    assert found == ["a -> b -> a", "c -> d -> c", "self -> self"]


def test_a_cycle_through_batches(faults: Faults) -> None:
    plan = batched(
        {"batch_id": "one", "tasks": [task("a", dependencies=["b"])]},
        {"batch_id": "two", "tasks": [task("b")], "dependencies": ["one"]},
    )
    assert faults(plan) == [
        "plays[0].batches[0].tasks[0].dependencies: these wait for each other: a -> b -> batch one -> a"
    ]


def test_batches_that_wait_for_each_other(faults: Faults) -> None:
    plan = batched(
        {"batch_id": "one", "tasks": [], "dependencies": ["two"]},
        {"batch_id": "two", "tasks": [], "dependencies": ["one"]},
    )
    assert faults(plan) == ["plays[0]: these wait for each other: batch one -> batch two -> batch one"]


def test_a_dependency_across_plays(read: Read, faults: Faults) -> None:
    plan = newer(task("a"))
    later = {"play_id": "p1", "batches": [{"batch_id": "b", "tasks": [task("b", dependencies=["a"])]}]}
    plan["plays"].append(later)
    assert order(read(plan)) == ["a", "b"]
    plan["plays"].reverse()
    words = "'a' is a task of a later play, which begins when this one is over"
    assert faults(plan) == [f"plays[0].batches[0].tasks[0].dependencies[0]: {words}"]


def test_a_dependency_on_a_handler(faults: Faults) -> None:
    plan = newer(task("a", dependencies=["h"]), handlers=[{"handler_id": "h", "module": "debug"}])
    assert "'h' is a handler; a task can only depend on tasks" in faults(plan)[0]


def test_unknown_batches(faults: Faults) -> None:
    plan = batched({"batch_id": "one", "tasks": [], "dependencies": ["tow"]}, {"batch_id": "two", "tasks": []})
    assert faults(plan) == ["plays[0].batches[0].dependencies[0]: the plan has no batch 'tow'; did you mean 'two'?"]


def test_the_graph(read: Read) -> None:
    plan = batched(
        {"batch_id": "one", "tasks": [task("a"), task("b", dependencies=["a"])]},
        {"batch_id": "two", "tasks": [task("c")], "dependencies": ["one"]},
    )
    graph = dependency_graph(read(plan))
    assert [node.task_id for node in graph.nodes] == ["a", "b", "c"]
    assert set(graph.edges) == {("b", "a"), ("c", "b")}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Acyclic plans whose file order has nothing to do with the order they ask for."""
    count = draw(st.integers(1, 25))
    ids = [f"t{index}" for index in range(count)]
    tasks = [
        Task(
            task_id=name,
            module="debug",
            hosts=["h"],
            dependencies=sorted(draw(st.sets(st.sampled_from(ids[:index]), max_size=4))) if index else [],
            execution_order=draw(st.integers(0, 5)),
        )
        for index, name in enumerate(ids)
    ]
    tasks = draw(st.permutations(tasks))
    cut = draw(st.integers(0, count))
    batches = [Batch(batch_id="x", tasks=tasks[:cut]), Batch(batch_id="y", tasks=tasks[cut:])]
    return Plan(metadata=PlanMetadata(), plays=[Play(play_id="p", batches=batches)], hosts=["h"])


@settings(max_examples=50, deadline=None)
@given(plans())
def test_every_task_comes_once_and_after_what_it_waits_for(plan: Plan) -> None:
    found = ordered_tasks(plan)
    place = {one.task_id: index for index, one in enumerate(found)}
    assert len(place) == len(found) == sum(len(batch.tasks) for batch in plan.plays[0].batches)
    assert all(place[before] < place[one.task_id] for one in found for before in one.dependencies)
    assert order(plan) == [one.task_id for one in found]
