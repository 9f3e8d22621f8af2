"""What was touched that no task names, what was left running, and what went out."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from harness.machine import Change, Entry, Machine, Process
from harness.verify.conduct.evidence import Evidence, Finding
from harness.verify.conduct.explained import Explained
from harness.verify.conduct.named import PATHS, Deed, deeds, is_opaque
from harness.verify.conduct.values import seconds

_RUNNER = re.compile(r"/harness-\w{10}/runner$")
"""Where a binary is put (deploy/delivery.py)."""
_TICK = 0.02
"""Seconds, at the kernel's slowest tick (CONFIG_HZ of 100) twice over."""
_STEADY = 1.0
"""Seconds by which the machine's clock may differ from ours over a run, and still be one that was not set."""
_TELLS_NETWORK = frozenset(["setup", "gather_facts", "getent"])
"""They ask name services, and for the way out."""


def strangers(evidence: Evidence) -> Iterator[Finding]:
    before, after = evidence.before, evidence.after
    if before is None or after is None:
        return
    found = deeds(evidence)
    yield from _runner_itself(before, after)
    if not evidence.alone:
        return
    known, until = Explained(found, evidence), opaque_from(found, evidence)
    for path, told in touched(before, after):
        was, now = before.files.get(path), after.files.get(path)
        if is_earlier(now, until) and not known.covers(path, was, now):
            yield Finding("strangers", "", "nothing is touched that no task names", f"{path}: {told}")
    if until is not None:
        return  # who started it, or wrote the account, is told by nothing
    yield from _accounts(before, after, found)
    yield from _running(before, after)


def opaque_from(found: Sequence[Deed], evidence: Evidence) -> float | None:
    """When, by the machine's clock, the first task began that may have touched anything, and all that it started; None
    where there is none. What is seen of it afterwards cannot be told from what the runner did by itself."""
    first = next((deed for deed in found if deed.changed and is_opaque(deed, evidence)), None)
    if first is None:
        return None
    before, after = evidence.before, evidence.after
    assert before is not None and after is not None
    steady = abs((after.clock - before.clock) - evidence.elapsed) < _STEADY
    began = seconds(first.turn.record.start) if evidence.by_binary and steady else None
    return began if began is not None else before.clock


def is_earlier(now: Entry | None, until: float | None) -> bool:
    """Whether an entry was left as it is before that moment; one that is gone does not tell when it went."""
    if until is None:
        return True
    if now is None:
        return False
    # A file's times are as old as the clock's last tick; some machines tell whole seconds only.
    grain = 1.0 if now.ctime == int(now.ctime) else 0.0
    return now.ctime + grain < until - _TICK


def unverified(evidence: Evidence) -> list[str]:
    """Ids of tasks that changed something nobody can name."""
    return [deed.task_id for deed in deeds(evidence) if deed.changed and is_opaque(deed, evidence)]


def touched(before: Machine, after: Machine) -> Iterator[tuple[str, str]]:
    """Every path that was seen both times (or in a folder that was) and is not the same, with what differs in words."""
    for path in sorted(before.files.keys() | after.files.keys()):
        was, now = before.files.get(path), after.files.get(path)
        if was is not None and now is not None:
            if told := differs(was, now):
                yield path, told
        elif now is not None:
            if path in before.looked_for or posixpath.dirname(path) in before.looked_for:
                yield path, f"appeared: {now}"
        elif path in after.looked_for or posixpath.dirname(path) in after.looked_for:
            yield path, f"is gone: it was {was}"


def differs(was: Entry, now: Entry) -> str:
    """In words what makes them two; empty where the same file was left alone."""
    change = [f"{what} {old} -> {new}" for what, old, new in was.unlike(now)]
    if was.kind == now.kind == "file" and (was.mtime, was.size) != (now.mtime, now.size):
        change.append(f"was written to ({was.size} -> {now.size} bytes)")
    return ", ".join(change)


def _accounts(before: Machine, after: Machine, found: Sequence[Deed]) -> Iterator[Finding]:
    if any(deed.changed and deed.turn.module in ("user", "group") for deed in found):
        return
    for kind, old, new in (("user", before.users, after.users), ("group", before.groups, after.groups)):
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                change = Change(kind, name, "state", old.get(name), new.get(name))
                yield Finding("strangers", "", "no account changes that no task names", str(change))


def _new(before: Machine, after: Machine) -> list[Process]:
    if before.processes is None or after.processes is None:
        return []
    known = {(process.pid, process.started) for process in before.processes}
    return [
        process
        for process in after.processes
        if (process.pid, process.started) not in known and process.state not in ("Z", "X", "x")
    ]


def runners_left(before: Machine, after: Machine) -> list[Process]:
    """Processes that are the runner still, or have not yet become what it has started."""
    return [process for process in _new(before, after) if _is_runner(process)]


def _runner_itself(before: Machine, after: Machine) -> Iterator[Finding]:
    """A process that is still the runner is never what a task left in the background."""
    for process in runners_left(before, after):
        yield Finding("strangers", "", "the runner has ended", f"it still runs: {process}")


def _is_runner(process: Process) -> bool:
    """A script's second argument is the script."""
    return any(_RUNNER.search(word) for word in process.arguments[:2])


def _running(before: Machine, after: Machine) -> Iterator[Finding]:
    for process in _new(before, after):
        if not _is_runner(process):
            yield Finding("strangers", "", "nothing is left running", f"process {process}")
    if before.sockets_in_use is not None and (after.sockets_in_use or 0) > before.sockets_in_use:
        listening = ", ".join(map(str, sorted(after.sockets or ())))
        told = f"{before.sockets_in_use} sockets were in use before, {after.sockets_in_use} are now"
        yield Finding("strangers", "", "no socket is left open", f"{told}{f': {listening}' if listening else ''}")


def may_ask(evidence: Evidence) -> list[str]:
    """Ids of tasks that ran and may have needed a network."""
    return [
        deed.task_id
        for deed in deeds(evidence)
        if deed.turn.record.status != "skipped"
        if (deed.paths is None and deed.turn.module not in PATHS) or deed.turn.module in _TELLS_NETWORK
    ]


def network(evidence: Evidence) -> Iterator[Finding]:
    """The kernel's own counters: nothing went out, nor was tried to, where no task that ran may need a network."""
    before, after = evidence.before, evidence.after
    if before is None or after is None or before.traffic is None or after.traffic is None:
        return
    grown = {name: after.traffic.get(name, 0) - old for name, old in before.traffic.items()}
    told = ", ".join(f"{name} +{number}" for name, number in sorted(grown.items()) if number > 0)
    if told:
        expected = "nothing goes out: no task that ran needs a network"
        yield Finding("network", "", expected, f"it did, or was tried: {told}")
