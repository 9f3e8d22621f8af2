"""What the records alone can tell against the plan: completeness, order, the report's own numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from harness.deploy.tags import reason_to_skip
from harness.models.runner import PayloadPlay, TaskRecord
from harness.plan.files import module_name
from harness.verify.conduct.evidence import Evidence, Finding
from harness.verify.conduct.expressions import Unknown
from harness.verify.conduct.replay import turns

_OPEN = frozenset(
    ["include_role", "include_tasks", "import_role", "import_tasks", "add_host", "group_by", "meta", "include_vars"]
)
"""Modules that bring tasks of their own, or end a host's play."""


def is_failure(record: TaskRecord) -> bool:
    """One that ends the host's run."""
    return record.status == "failed" and not record.ignored


def complete(evidence: Evidence) -> Iterator[Finding]:
    payload, records = evidence.payload, evidence.records
    everything = [task for play in payload.plays for task in (*play.tasks, *play.handlers)]
    if any(module_name(task.module) in _OPEN for task in everything):
        return
    known = {task.task_id for task in everything}
    for record in records:
        if record.task_id not in known:
            yield Finding(
                "complete",
                record.task_id,
                f"only tasks of {evidence.host}'s slice",
                f"a record of {record.task_id!r}, which the plan does not give to this host",
            )
    count = Counter(record.task_id for record in records if not record.handler)
    failed = next((record for record in records if is_failure(record)), None)
    tasks = [task for play in payload.plays for task in play.tasks]
    for task in tasks:
        if count[task.task_id] > 1:
            yield Finding("complete", task.task_id, "one record", f"{count[task.task_id]} records of this task")
    if failed is None and not (evidence.result.deployment_method != "binary" and _between_hosts(evidence)):
        # Runners of other compilers leave out what they skip.
        sure = [task for task in tasks if evidence.result.results == "runner" or not (task.when or task.tags)]
        for task in sure:
            if not count[task.task_id] and reason_to_skip(task.tags, evidence.tags, evidence.skip_tags) is None:
                yield Finding(
                    "complete", task.task_id, "one record", "no record of this task, and no failure that explains it"
                )
    elif failed is not None and evidence.result.deployment_method == "binary":
        yield from _after(failed, records)
    yield from _loops(evidence)


def _between_hosts(evidence: Evidence) -> bool:
    """Ansible ends a host's play, or leaves out a task, for the sake of others (`any_errors_fatal`, `run_once` ...)."""
    return any(play.beyond or any(task.beyond for task in play.tasks) for play in evidence.payload.plays)


def _after(failed: TaskRecord, records: tuple[TaskRecord, ...]) -> Iterator[Finding]:
    later = records[records.index(failed) + 1 :]
    if later:
        names = ", ".join(record.task_id for record in later[:5])
        yield Finding(
            "complete",
            failed.task_id,
            "nothing runs after a task that failed",
            f"{failed.task_id} failed, and then {names} ran",
        )


def _loops(evidence: Evidence) -> Iterator[Finding]:
    """As many results as the loop has items."""
    for turn in turns(evidence):
        told = turn.record.result.get("results")
        if turn.task.loop is None or not isinstance(told, list) or turn.record.status not in ("ok", "changed"):
            continue
        try:
            wanted = len(turn.items())
        except Unknown:
            continue
        if len(told) != wanted:
            yield Finding("complete", turn.task.task_id, f"{wanted} results of the loop", f"{len(told)} results")


def order(evidence: Evidence) -> Iterator[Finding]:
    places = {
        task.task_id: (number, place)
        for number, play in enumerate(evidence.payload.plays)
        for place, task in enumerate(play.tasks)
    }
    told = [record for record in evidence.records if record.task_id in places]
    for first, second in pairwise(told):
        if places[second.task_id] < places[first.task_id]:
            yield Finding(
                "order",
                second.task_id,
                f"{second.task_id} before {first.task_id}, as the plan has it",
                f"{second.task_id} was reported after {first.task_id}",
            )
    yield from _handlers_in_place(evidence, places)


def _handlers_in_place(evidence: Evidence, places: dict[str, tuple[int, int]]) -> Iterator[Finding]:
    """A handler after every task of its play."""
    if any(module_name(task.module) == "meta" for play in evidence.payload.plays for task in play.tasks):
        return
    of_play = {
        handler.task_id: number for number, play in enumerate(evidence.payload.plays) for handler in play.handlers
    }
    seen: dict[int, TaskRecord] = {}
    for record in evidence.records:
        if record.task_id in of_play and record.handler:
            seen.setdefault(of_play[record.task_id], record)
        elif record.task_id in places and places[record.task_id][0] in seen:
            handler = seen[places[record.task_id][0]]
            yield Finding(
                "order",
                handler.task_id,
                "handlers run at the end of their play",
                f"{handler.task_id} ran before the task {record.task_id}",
            )


def handlers(evidence: Evidence) -> Iterator[Finding]:
    """What each play's records say was notified, against the handlers that ran."""
    if any(is_failure(record) for record in evidence.records):
        return  # what had been notified is not run any more
    if any(module_name(task.module) in _OPEN for play in evidence.payload.plays for task in play.tasks):
        return  # flushed, they may run more than once
    of_task: dict[str, list[TaskRecord]] = {}
    for record in evidence.records:
        of_task.setdefault(record.task_id, []).append(record)
    for play in evidence.payload.plays:
        wanted, sure = _notified(play, of_task)
        for handler in play.handlers:
            ran = len(of_task.get(handler.task_id, ()))
            by = wanted.get(handler.task_id)
            if by is not None and ran != 1:
                yield Finding("handlers", handler.task_id, f"runs once: {by} changed and notifies it", _ran(ran))
            elif by is None and ran and sure:
                expected = "does not run: nothing that changed notifies it"
                yield Finding("handlers", handler.task_id, expected, _ran(ran))


def _ran(times: int) -> str:
    return {0: "it did not run", 1: "it ran once"}.get(times, f"it ran {times} times")


def _notified(play: PayloadPlay, of_task: dict[str, list[TaskRecord]]) -> tuple[dict[str, str], bool]:
    """Handlers by id, each with a task that notified it; and whether no further ones can have been."""
    wanted: dict[str, str] = {}
    sure = True
    for task in (*play.tasks, *play.handlers):
        if not any(record.status == "changed" for record in of_task.get(task.task_id, ())):
            continue
        for topic in task.notify:
            found = [
                handler.task_id
                for handler in play.handlers
                if topic in (handler.name, handler.task_id) or topic in handler.listen
            ]
            by_name = [handler.task_id for handler in play.handlers if handler.name == topic]
            if not found or "{{" in topic or len(by_name) > 1:
                sure = False
                continue
            wanted.update({handler: task.task_id for handler in found if handler not in wanted})
    templated = any("{{" in handler.name for handler in play.handlers)
    return wanted, sure and not templated


def exit_status(evidence: Evidence) -> Iterator[Finding]:
    failed = any(is_failure(record) for record in evidence.records)
    for number, ending in enumerate(evidence.endings):
        last = number == len(evidence.endings) - 1
        if evidence.by_binary and ending.rc in (0, 1) and (ending.rc == 1) is not failed:
            told = "a task failed" if failed else "no task failed"
            yield Finding("exit-status", "", f"{int(failed)}, as {told}", f"exit status {ending.rc}")
        if ending.report is not None and ending.report.exit_code != ending.rc:
            yield Finding(
                "exit-status", "", f"{ending.report.exit_code}, as its report says", f"exit status {ending.rc}"
            )
        if last and evidence.by_binary and ending.report is not None:
            yield from _counts(ending.report.model_dump(), evidence)


def _counts(report: dict[str, object], evidence: Evidence) -> Iterator[Finding]:
    counted = Counter(
        "ignored" if record.status == "failed" and record.ignored else record.status for record in evidence.records
    )
    for name in ("ok", "changed", "failed", "skipped", "ignored"):
        if report[name] != counted[name]:
            yield Finding(
                "exit-status", "", f"{counted[name]} {name}, as its records", f"its report says {report[name]}"
            )
    if report["host"] not in ("", evidence.host):
        yield Finding("exit-status", "", f"a report of {evidence.host}", f"its report is of {report['host']}")
    if report["plan_id"] and report["plan_id"] != evidence.payload.plan_id:
        yield Finding(
            "exit-status", "", f"a report of plan {evidence.payload.plan_id}", f"its report is of {report['plan_id']}"
        )
