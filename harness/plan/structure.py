"""What a plan alone can have wrong: ids, references, cycles, expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from harness.models.plan import Handler, Plan, Play, Task
from harness.models.problems import Keys, path_text, shown
from harness.plan import order
from harness.plan.expressions import Parser, of_task
from harness.plan.fields import Faults
from harness.plan.newer import PLACEHOLDER
from harness.plan.order import Spot


def check_structure(plan: Plan, faults: Faults) -> None:
    """Note every problem; a plan with placeholders (part of it could not be read) is fine."""
    _Ids(plan, faults).check()
    for index, play in enumerate(plan.plays):
        _check_batches(plan, play, index, faults)
        _check_handlers(plan, play, index, faults)
        for first, words in order.cycles(play, index):
            keys = order.keys_of(plan, first) if first else ("plays", index)
            faults.add((*keys, "dependencies") if first else keys, words)
    _check_deployments(plan, faults)
    parser = Parser()
    for keys, task in everything(plan):
        for inner, finding in of_task(task, parser):
            if finding.error:
                faults.add((*keys, *inner), finding.error)
            if finding.unnamed_secret:
                faults.add((*keys, *inner), "secret() takes one name in quotes, as in {{ secret('NAME') }}")


def everything(plan: Plan) -> Iterator[tuple[Keys, Task | Handler]]:
    """Every task and handler with its place."""
    for index, play in enumerate(plan.plays):
        yield from of_play(plan, play, index)


def of_play(plan: Plan, play: Play, index: int) -> Iterator[tuple[Keys, Task | Handler]]:
    for spot in order.spots(play, index):
        yield order.keys_of(plan, spot), spot.task
    for at, handler in enumerate(play.handlers):
        yield order.handler_keys(plan, index, at), handler


class _Ids:
    """Each task id once a host, each dependency a task that comes before."""

    def __init__(self, plan: Plan, faults: Faults) -> None:
        self.plan = plan
        self.faults = faults
        self.seen: dict[str, list[Spot]] = {}
        self.handlers = {handler.handler_id for play in plan.plays for handler in play.handlers}

    def check(self) -> None:
        every = [spot for index, play in enumerate(self.plan.plays) for spot in order.spots(play, index)]
        for spot in every:
            if not spot.task.task_id.startswith(PLACEHOLDER):
                self._refuse_second(spot)
                self.seen.setdefault(spot.task.task_id, []).append(spot)
        for spot in every:
            for at, name in enumerate(spot.task.dependencies):
                words = self._wrong_dependency(spot, name)
                if words:
                    self.faults.add((*order.keys_of(self.plan, spot), "dependencies", at), words)

    def _refuse_second(self, spot: Spot) -> None:
        """A rolling plan repeats a task in another batch for other hosts; nothing else may."""
        hosts = set(spot.task.hosts)
        for other in self.seen.get(spot.task.task_id, ()):
            same_batch = (other.play, other.batch) == (spot.play, spot.batch)
            if same_batch or not hosts or not other.task.hosts or not hosts.isdisjoint(other.task.hosts):
                key = "id" if self.plan.source_format == "execution-plan" else "task_id"
                there = path_text(order.keys_of(self.plan, other))
                words = f"the id {shown(spot.task.task_id)} is taken already, by {there}"
                self.faults.add((*order.keys_of(self.plan, spot), key), words)
                return

    def _wrong_dependency(self, spot: Spot, name: str) -> str | None:
        known = self.seen.get(name)
        if known is None:
            if name in self.handlers:
                return f"{shown(name)} is a handler; a task can only depend on tasks"
            return _no_such("task", name, self.seen, self.faults)
        if all(other.play > spot.play for other in known):
            return f"{shown(name)} is a task of a later play, which begins when this one is over"
        return None


def _check_batches(plan: Plan, play: Play, index: int, faults: Faults) -> None:
    ids: dict[str, int] = {}
    for at, batch in enumerate(play.batches):
        keys = ("plays", index, "batches", at)
        if batch.batch_id in ids:
            words = f"the id {shown(batch.batch_id)} is taken already, by batches[{ids[batch.batch_id]}]"
            faults.add((*keys, "batch_id"), words)
        ids.setdefault(batch.batch_id, at)
    for at, batch in enumerate(play.batches):
        for nth, name in enumerate(batch.dependencies):
            if name not in ids:
                faults.add(("plays", index, "batches", at, "dependencies", nth), _no_such("batch", name, ids, faults))


def _check_handlers(plan: Plan, play: Play, index: int, faults: Faults) -> None:
    names: dict[str, str] = {}
    topics: set[str] = set()
    for at, handler in enumerate(play.handlers):
        keys = order.handler_keys(plan, index, at)
        topics.update(handler.listen)
        for kind, name in (("id", handler.handler_id), ("name", handler.name)):
            if name and names.get(f"{kind} {name}") is not None:
                words = f"the {kind} {shown(name)} is taken already, by {names[f'{kind} {name}']}"
                faults.add((*keys, "name" if kind == "name" else "handler_id"), words)
            names.setdefault(f"{kind} {name}", path_text(keys))
    known = topics | {key.partition(" ")[2] for key in names}
    for place, task in _notifiers(plan, play, index):
        for nth, name in enumerate(task.notify):
            if name not in known and "{{" not in name:
                faults.add((*place, "notify", nth), _no_such_handler(name, known, faults))


def _notifiers(plan: Plan, play: Play, index: int) -> Iterator[tuple[Keys, Task | Handler]]:
    for spot in order.spots(play, index):
        if spot.task.notify:
            yield order.keys_of(plan, spot), spot.task
    for at, handler in enumerate(play.handlers):
        if handler.notify:
            yield order.handler_keys(plan, index, at), handler


def _no_such_handler(name: str, known: set[str], faults: Faults) -> str:
    if not any(known):
        return f"the play has no handler {shown(name)}: it has none at all"
    return _no_such("handler", name, known, faults, owner="play")


def _check_deployments(plan: Plan, faults: Faults) -> None:
    tasks = {spot.task.task_id for index, play in enumerate(plan.plays) for spot in order.spots(play, index)}
    hosts = set(plan.hosts)
    for index, deployment in enumerate(plan.binary_deployments):
        keys: Keys = ("binary_deployments", index)
        if not isinstance(deployment, dict):
            faults.add(keys, f"should be an object, not {shown(deployment)}")
            continue
        for key, known, what in (
            ("tasks", tasks, "task"),
            ("task_ids", tasks, "task"),
            ("target_hosts", hosts, "host"),
        ):
            _check_names(deployment.get(key), known, (*keys, key), what, faults)


def _check_names(value: Any, known: set[str], keys: Keys, what: str, faults: Faults) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        faults.add(keys, f"should be a list of text, not {shown(value)}")
        return
    for index, name in enumerate(value):
        if not isinstance(name, str):
            faults.add((*keys, index), f"should be text, not {shown(name)}")
        elif name not in known:
            faults.add((*keys, index), _no_such(what, name, known, faults))


def _no_such(what: str, name: str, known: Collection[str], faults: Faults, *, owner: str = "plan") -> str:
    meant = faults.suggestions.nearest(name, known)
    hint = f"; did you mean {shown(meant)}?" if meant and not meant.startswith(PLACEHOLDER) else ""
    return f"the {owner} has no {what} {shown(name)}{hint}"
