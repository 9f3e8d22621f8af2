"""A run walked through once more beside its records: each task with the variables that it saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harness.models.runner import PayloadPlay, PayloadTask, TaskRecord
from harness.plan.files import module_name
from harness.verify.conduct.evidence import Evidence
from harness.verify.conduct.expressions import Result, Unknown, Variables


@dataclass(frozen=True)
class Turn:
    """One record of a task of the payload, and what was known when it ran. `variables` has the task's own, too."""

    play: PayloadPlay
    task: PayloadTask
    record: TaskRecord
    variables: Variables
    check_mode: bool

    @property
    def module(self) -> str:
        return module_name(self.task.module)

    @property
    def succeeded(self) -> bool:
        return self.record.status in ("ok", "changed")

    def items(self) -> list[dict[str, Any]]:
        """The loop variable of each turn of the loop; one empty layer without a loop. Raises Unknown."""
        if self.task.loop is None:
            return [{}]
        control = self.task.loop_control
        name = control.get("loop_var", "item")
        if not isinstance(name, str) or control.keys() - {"loop_var", "label", "pause"}:
            raise Unknown("loop_control")
        return [{name: item} for item in self.variables.items(self.task.loop)]


@lru_cache(maxsize=2)
def turns(evidence: Evidence) -> tuple[Turn, ...]:
    """In the order of the records; a record of what is not in the payload is passed over."""
    return tuple(_turns(evidence))


def _turns(evidence: Evidence) -> Iterator[Turn]:
    payload = evidence.payload
    places = {task.task_id: (play, task) for play in payload.plays for task in (*play.tasks, *play.handlers)}
    gathered: dict[str, Any] = {}
    hidden: set[str] = set()
    base = _of_host(evidence)
    for record in evidence.records:
        if record.task_id not in places:
            continue
        play, task = places[record.task_id]
        layers = {**base, **play.vars, **task.vars, **gathered}
        known = {name: value for name, value in layers.items() if name not in hidden}
        # What is hidden is defined, but nobody can tell how.
        variables = Variables(known, closed=evidence.by_binary, hidden=frozenset(hidden))
        check = task.check_mode if task.check_mode is not None else evidence.check_mode or payload.check_mode
        yield Turn(play, task, record, variables, bool(check))
        _gather(task, record, gathered, hidden)


def _of_host(evidence: Evidence) -> dict[str, Any]:
    payload = evidence.payload
    groups = {**payload.groups}
    groups.setdefault("all", list(payload.hosts))
    own = sorted(name for name, hosts in groups.items() if evidence.host in hosts and name != "all")
    # Facts outrank what an inventory says, and nobody knows them here.
    told = payload.hosts.get(evidence.host, {})
    values = {name: value for name, value in told.items() if not name.startswith("ansible_")}
    return {**values, "inventory_hostname": evidence.host, "groups": groups, "group_names": own}


def registered(record: TaskRecord) -> Result | None:
    """What a task leaves under its registered name, as its record tells; None where that hides it."""
    if not record.result:
        return None
    told = Result(record.result)
    told["changed"] = record.status == "changed" or bool(record.result.get("changed"))
    told["failed"] = record.status == "failed"
    told["skipped"] = record.status == "skipped"
    return told


def _gather(task: PayloadTask, record: TaskRecord, gathered: dict[str, Any], hidden: set[str]) -> None:
    if task.register_ and not (record.status == "skipped" and (record.skip_reason or "").find("tag") >= 0):
        found = registered(record)
        if found is None:
            hidden.add(task.register_)
        else:
            hidden.discard(task.register_)
            gathered[task.register_] = found
    if module_name(task.module) in ("set_fact", "include_vars") and record.status != "skipped":
        facts = record.result.get("ansible_facts")
        for name in task.args:
            value = facts.get(name) if isinstance(facts, dict) else None
            if isinstance(value, bool | int | float) or (isinstance(value, str) and "{" not in value):
                hidden.discard(name)
                gathered[name] = value
            else:
                hidden.add(name)  # not told, or such that it could be taken for a template
