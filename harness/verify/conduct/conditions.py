"""Whether each task ran that was to run, and was left out otherwise; and how its status follows from its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from harness.deploy.tags import reason_to_skip
from harness.verify.conduct.evidence import Evidence, Finding
from harness.verify.conduct.expressions import Unknown, Variables
from harness.verify.conduct.replay import Turn, registered, turns

_COMMANDS = ("command", "shell", "raw", "script")


def conditions(evidence: Evidence) -> Iterator[Finding]:
    for turn in turns(evidence):
        yield from _tags(turn, evidence)
        yield from _when(turn)
        yield from _creates(turn, evidence)
        yield from _verdicts(turn)
        if evidence.by_binary:
            yield from _attempts(turn)


def _tags(turn: Turn, evidence: Evidence) -> Iterator[Finding]:
    if turn.record.handler:
        return
    reason = reason_to_skip(turn.task.tags, evidence.tags, evidence.skip_tags)
    if reason is not None and turn.record.status != "skipped":
        yield Finding("conditions", turn.task.task_id, f"left out: {reason}", f"it ran: {turn.record.status}")


def _when(turn: Turn) -> Iterator[Finding]:
    task, record = turn.task, turn.record
    if not task.when or record.status == "failed":
        return
    if "tag" in (record.skip_reason or ""):
        return
    try:
        layers = turn.items()
        verdicts = [_false_one(task.when, turn.variables.with_layer(layer)) for layer in layers]
    except Unknown:
        return
    ran = record.status != "skipped"
    if verdicts and ran and all(verdict is not None for verdict in verdicts):
        yield Finding("conditions", task.task_id, f"skipped: {verdicts[0]} does not hold", f"it ran: {record.status}")
    elif not ran and any(verdict is None for verdict in verdicts) and not _may_skip(turn):
        yield Finding(
            "conditions",
            task.task_id,
            f"runs: {' and '.join(map(str, task.when))} holds",
            f"it was skipped: {record.skip_reason or record.msg or 'no reason is told'}",
        )


def _may_skip(turn: Turn) -> bool:
    """Modules that skip by themselves: commands in check mode, or where `creates` is there; debug by its verbosity."""
    return turn.check_mode or (
        turn.module in (*_COMMANDS, "debug") and bool({"creates", "removes", "verbosity"} & turn.task.args.keys())
    )


def _false_one(when: Sequence[JsonValue], variables: Variables) -> str | None:
    """The first condition that does not hold. Raises Unknown."""
    return next((str(condition) for condition in when if not variables.holds(condition)), None)


def _creates(turn: Turn, evidence: Evidence) -> Iterator[Finding]:
    """A command whose `creates` was there before the run, and that nothing has taken away, has nothing to do."""
    if turn.module not in _COMMANDS or turn.record.status != "changed" or evidence.before is None:
        return
    if turn.task.changed_when is not None or turn.task.loop is not None or turn.record != _first_effect(evidence):
        return
    for name, there in (("creates", True), ("removes", False)):
        try:
            path = turn.variables.render(turn.task.args[name]) if turn.task.args.get(name) is not None else ""
        except Unknown:
            continue
        if not path.startswith("/") or path not in evidence.before.looked_for or "*" in path:
            continue
        if (path in evidence.before.files) is there:
            told = f"{path} was {'there' if there else 'not there'} before the run"
            yield Finding("conditions", turn.task.task_id, f"nothing is run: {told}", "it ran: changed")


def _first_effect(evidence: Evidence) -> object:
    """The first record of the run that changed anything: before it the machine was as it was found."""
    return next((record for record in evidence.records if record.status in ("changed", "failed")), None)


def _verdicts(turn: Turn) -> Iterator[Finding]:
    """`changed_when` and `failed_when` of the result that is reported, and a failure that stands in it."""
    task, record = turn.task, turn.record
    if task.loop is not None or record.status == "skipped" or turn.check_mode:
        return
    result = registered(record)
    if result is None:
        return
    own = turn.variables.with_layer({task.register_: result}) if task.register_ else turn.variables
    for name, given, actual in (
        ("failed_when", task.failed_when, record.status == "failed"),
        ("changed_when", task.changed_when, record.status == "changed"),
    ):
        if not given or (name == "changed_when" and record.status == "failed"):
            continue
        try:
            wanted = all(own.holds(condition) for condition in given)
        except Unknown:
            continue
        if wanted is not actual and (wanted or name == "changed_when" or _ran_to_its_end(turn)):
            told = f"{name} {' and '.join(map(str, given))} {'holds' if wanted else 'does not hold'}"
            yield Finding("conditions", task.task_id, f"{'not ' * (not wanted)}{name[:-5]}: {told}", record.status)
    if task.failed_when is None and turn.succeeded and turn.module in _COMMANDS and record.rc not in (None, 0):
        yield Finding("conditions", task.task_id, "failed", f"{record.status}, with exit status {record.rc}")


def _ran_to_its_end(turn: Turn) -> bool:
    """What fails before the module runs, or by its timeout, fails whatever `failed_when` says."""
    return turn.record.rc is not None and "timed out" not in turn.record.msg.lower()


def _attempts(turn: Turn) -> Iterator[Finding]:
    task, record = turn.task, turn.record
    if task.loop is not None or record.status == "skipped" or task.retries is None:
        return
    most = 1 + max(task.retries, 0)
    told = f"{record.attempts} attempt{'s' if record.attempts != 1 else ''}"
    if record.attempts > most:
        yield Finding("conditions", task.task_id, f"at most {most} attempts", told)
    gave_up = record.status == "failed" and record.attempts < most and "Timed out" not in record.msg
    if gave_up and task.until and _until_fails(turn):
        yield Finding("conditions", task.task_id, f"{most} attempts before it gives up", told)


def _until_fails(turn: Turn) -> bool:
    result = registered(turn.record)
    if result is None or not turn.task.register_:
        return False
    own = turn.variables.with_layer({turn.task.register_: result})
    try:
        return not all(own.holds(condition) for condition in turn.task.until or ())
    except Unknown:
        return False
