"""The order of tasks, and the graph of what waits for what.

Plays follow each other. Within a play a task waits for its dependencies and for the batches that its batch depends
on; among the tasks that may go next, the earlier batch, then the lower `execution_order`, then the earlier line goes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from harness.errors import InvalidInput, Problem
from harness.models.plan import Plan, Play, Task
from harness.models.problems import Keys

MAX_CYCLES = 20


@dataclass(frozen=True)
class Spot:
    """A task and its place in the plan."""

    task: Task
    play: int
    batch: int
    at: int

    @property
    def key(self) -> tuple[int, int, int]:
        return (self.batch, self.task.execution_order, self.at)


@dataclass(frozen=True)
class Node:
    task_id: str
    name: str
    module: str
    play: str
    batch: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """`edges`: (a task, one that it waits for), both as ids; `nodes` in the order of the run."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


def spots(play: Play, index: int) -> Iterator[Spot]:
    """The tasks of a play as the file has them."""
    for batch_index, batch in enumerate(play.batches):
        for at, task in enumerate(batch.tasks):
            yield Spot(task, index, batch_index, at)


def keys_of(plan: Plan, spot: Spot) -> Keys:
    """The way to a task in the file, whichever format it has."""
    if plan.source_format == "execution-plan":
        return ("tasks", spot.at)
    return ("plays", spot.play, "batches", spot.batch, "tasks", spot.at)


def handler_keys(plan: Plan, play: int, at: int) -> Keys:
    if plan.source_format == "execution-plan":
        return ("handlers", at)
    return ("plays", play, "handlers", at)


def ordered_tasks(plan: Plan) -> list[Task]:
    """All tasks in the order of the run. Raises InvalidInput for a cycle."""
    return [spot.task for index in range(len(plan.plays)) for spot in ordered(plan, index)]


def ordered(plan: Plan, index: int) -> list[Spot]:
    """The tasks of one play in the order of the run. Raises InvalidInput for a cycle."""
    play = plan.plays[index]
    found = list(spots(play, index))
    sorter = TopologicalSorter(_edges(play, found))
    try:
        sorter.prepare()
    except CycleError as error:
        raise InvalidInput("plan", [Problem(f"plays[{index}]", _words(play, found, error.args[1]))]) from None
    result: list[Spot] = []
    waiting: list[tuple[tuple[int, int, int], int]] = []
    while sorter.is_active():
        for node in sorter.get_ready():
            heapq.heappush(waiting, (found[node].key if node >= 0 else (-1, 0, 0), node))
        _, node = heapq.heappop(waiting)
        if node >= 0:
            result.append(found[node])
        sorter.done(node)
    return result


def cycles(play: Play, index: int) -> list[tuple[Spot | None, str]]:
    """Every cycle that remains once those found before are cut open, with the first of its tasks."""
    found = list(spots(play, index))
    edges = _edges(play, found)
    result: list[tuple[Spot | None, str]] = []
    while len(result) < MAX_CYCLES:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            cycle: list[int] = error.args[1]
            tasks = [node for node in cycle if node >= 0]
            result.append((found[min(tasks)] if tasks else None, _words(play, found, cycle)))
            edges[cycle[1]].discard(cycle[0])
        else:
            break
    return result


def dependency_graph(plan: Plan) -> Graph:
    """Explicit dependencies, and those that batches have on each other as edges between their tasks."""
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], None] = {}
    for index, play in enumerate(plan.plays):
        order = ordered(plan, index)
        for spot in order:
            task = spot.task
            batch = play.batches[spot.batch].batch_id
            before = nodes.get(task.task_id)
            hosts = tuple(dict.fromkeys([*(before.hosts if before else ()), *task.hosts]))
            nodes[task.task_id] = Node(task.task_id, task.name, task.module, play.play_id, batch, hosts)
            edges.update(dict.fromkeys((task.task_id, name) for name in task.dependencies))
        edges.update(dict.fromkeys(_between_batches(play)))
    return Graph(tuple(nodes.values()), tuple(edges))


def _between_batches(play: Play) -> Iterator[tuple[str, str]]:
    """The first task of a batch waits for the last of the batch that it depends on."""
    by_id = {batch.batch_id: batch for batch in play.batches}
    for batch in play.batches:
        for name in batch.dependencies:
            before = by_id.get(name)
            if before is not None and before.tasks and batch.tasks:
                first, last = batch.tasks[0].task_id, before.tasks[-1].task_id
                if first != last:
                    yield first, last


def _edges(play: Play, found: list[Spot]) -> dict[int, set[int]]:
    """Node to the nodes it waits for. A task's node is its index; batch B is over at node -1 - B."""
    by_id: dict[str, list[int]] = {}
    for node, spot in enumerate(found):
        by_id.setdefault(spot.task.task_id, []).append(node)
    over = {batch.batch_id: -1 - index for index, batch in enumerate(play.batches)}
    waits_for = [{over[name] for name in batch.dependencies if name in over} for batch in play.batches]
    awaited = set().union(*waits_for)
    edges: dict[int, set[int]] = {-1 - index: set(batches) for index, batches in enumerate(waits_for)}
    for node, spot in enumerate(found):
        edges[node] = set(waits_for[spot.batch])
        for name in spot.task.dependencies:
            edges[node].update(_meant(spot, by_id.get(name, []), found))
        if -1 - spot.batch in awaited:
            edges[-1 - spot.batch].add(node)
    return edges


def _meant(spot: Spot, candidates: list[int], found: list[Spot]) -> list[int]:
    """A rolling plan repeats its tasks for other hosts: a dependency means the one on the same host."""
    if len(candidates) < 2:
        return candidates
    hosts = set(spot.task.hosts)
    return [node for node in candidates if not hosts.isdisjoint(found[node].task.hosts)] or candidates


_SHOWN = 20
"""So many members of a cycle are named."""


def _words(play: Play, found: list[Spot], cycle: list[int]) -> str:
    """`a -> b -> a`, each waiting for the next, from the first of them in the file."""
    ring = list(reversed(cycle[1:]))  # graphlib puts each before the one that waits for it
    first = ring.index(min((node for node in ring if node >= 0), default=max(ring)))
    ring = ring[first:] + ring[:first]
    names = [found[node].task.task_id if node >= 0 else f"batch {play.batches[-1 - node].batch_id}" for node in ring]
    if len(names) > _SHOWN:
        names[_SHOWN // 2 : -_SHOWN // 2] = [f"... {len(names) - _SHOWN} more ..."]
    return f"these wait for each other: {' -> '.join([*names, names[0]])}"
