"""What tasks say they changed, against what is seen to have changed on the paths they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.machine import Entry, Machine, differences
from harness.verify.conduct.evidence import Evidence, Finding
from harness.verify.conduct.expressions import Unknown
from harness.verify.conduct.named import PATHS, Deed, deeds, truth

_OCTAL = re.compile("[0-7]{3,4}")
_GRAIN = 1.5
"""Seconds: a file that was changed so shortly before the run may have the same times after another change."""


def traces(evidence: Evidence) -> Iterator[Finding]:
    if evidence.before is None or evidence.after is None:
        return
    found = deeds(evidence)
    doers = [deed for deed in found if deed.changed]
    for deed in found:
        if deed.turn.check_mode or deed.turn.module not in PATHS or not deed.paths:
            continue
        if deed.turn.record.status == "changed" and deed.turn.task.changed_when is None:
            yield from _left_none(deed, doers, evidence.before, evidence.after)
            if evidence.result.deployment_method == "binary":  # else Ansible's umask is at work
                yield from _as_made(deed, doers, evidence.before, evidence.after)
        elif not deed.changed and evidence.alone:
            yield from _left_some(deed, doers, evidence.before, evidence.after)
    if evidence.result.deployment_method == "binary":
        yield from _made_above(doers, evidence.before, evidence.after)
    yield from _artifacts(found, evidence)


def _left_none(deed: Deed, doers: Sequence[Deed], before: Machine, after: Machine) -> Iterator[Finding]:
    """It says changed, and all that it names is as it was."""
    assert deed.paths is not None
    if truth(deed.turn.task.args.get("recurse")) or not deed.paths <= before.looked_for:
        return
    if truth(deed.turn.task.args.get("remote_src")):
        return
    seen = [(path, before.files.get(path), after.files.get(path)) for path in sorted(deed.paths)]
    if any(was != now for _, was, now in seen):
        return
    if any(was is not None and was.kind == "symbolic link" for _, was, _ in seen):
        return  # what it leads to may have been changed
    if any(was is not None and was.ctime > before.clock - _GRAIN for _, was, _ in seen):
        return
    gone = all(was is None for _, was, _ in seen)
    if gone and any(_somebody_else(deed, doers, path) for path in deed.paths):
        return  # made and taken away again within the run
    told = ", ".join(f"{path}: {_words(was)}" for path, was, _ in seen if was is not None or gone)
    yield Finding("traces", deed.task_id, "a change where it reports one", f"as before the run, times and all: {told}")


def _words(entry: Entry | None) -> str:
    return str(entry) if entry is not None else "does not exist"


def _left_some(deed: Deed, doers: Sequence[Deed], before: Machine, after: Machine) -> Iterator[Finding]:
    """It says ok or skipped, nobody else had to do with the path, and it differs."""
    assert deed.paths is not None
    for path in sorted(deed.paths & before.looked_for):
        changes = differences(_only(before, path), _only(after, path))
        if changes and not _somebody_else(deed, doers, path):
            told = "; ".join(map(str, changes))
            status = deed.turn.record.status
            yield Finding("traces", deed.task_id, f"no change, for it reports {status}", told)


def _somebody_else(deed: Deed, doers: Sequence[Deed], path: str) -> bool:
    return any(other is not deed and other.works_on(path) for other in doers)


def _only(machine: Machine, path: str) -> Machine:
    return Machine(files={path: machine.files[path]} if path in machine.files else {})


def _as_made(deed: Deed, doers: Sequence[Deed], before: Machine, after: Machine) -> Iterator[Finding]:
    """What a task made that does not say of which mode or owner: those of its user and umask."""
    assert deed.paths is not None
    args = deed.turn.task.args
    for path in sorted(deed.paths):
        entry = after.files.get(path)
        if entry is None or entry.kind not in ("file", "directory") or path in before.files:
            continue
        if path not in before.looked_for:
            continue
        wrong = [told for told in (_lax(args, entry, after.umask), _not_by(deed, entry)) if told]
        if wrong and not _somebody_else(deed, doers, path):
            yield from (Finding("traces", deed.task_id, told, f"{path}: {entry}") for told in wrong)


def _lax(args: Mapping[str, object], entry: Entry, umask: int) -> str | None:
    named = args.get("mode") is not None or args.get("directory_mode") is not None
    return None if named or not entry.mode & umask & 0o022 else f"made under umask {umask:03o}, as it names no mode"


def _made_above(doers: Sequence[Deed], before: Machine, after: Machine) -> Iterator[Finding]:
    """Folders that had to be made above what tasks name: others may write there only where a task says so."""
    for path, entry in after.files.items():
        if entry.kind != "directory" or path in before.files or path not in before.looked_for:
            continue
        makers = [deed for deed in doers if deed.works_on(path)]
        if not makers or not all(deed.paths and path not in deed.paths and deed.makes_parents for deed in makers):
            continue
        told = _lax({}, entry, after.umask)
        if told and not any(_lets_others_write(deed) for deed in makers):
            yield Finding("traces", makers[0].task_id, "folders above are not writable for others", f"{path}: {entry}")


def _lets_others_write(deed: Deed) -> bool:
    """Whether a mode that it names does, or cannot be read here."""
    modes = [deed.turn.task.args.get(name) for name in ("mode", "directory_mode")]
    return any(mode is not None and (not _OCTAL.fullmatch(str(mode)) or int(str(mode), 8) & 0o022) for mode in modes)


def _not_by(deed: Deed, entry: Entry) -> str | None:
    """What is expected of the owner where the task becomes somebody, and the owner is another."""
    owner = _becoming(deed)
    if owner is None or deed.turn.task.args.get("owner") is not None or owner in (entry.user, str(entry.uid)):
        return None
    return f"made by {owner}, whom it becomes"


def _becoming(deed: Deed) -> str | None:
    task = deed.turn.task
    if not task.become or task.become_user is None or truth(task.args.get("remote_src")):
        return None
    try:
        return deed.turn.variables.render(task.become_user)
    except Unknown:
        return None


def _artifacts(found: Sequence[Deed], evidence: Evidence) -> Iterator[Finding]:
    """What it reports to have made is there; what it took away is an artifact, too."""
    assert evidence.before is not None and evidence.after is not None
    for number, deed in enumerate(found):
        if deed.turn.record.status != "changed" or deed.turn.check_mode or deed.turn.module not in PATHS:
            continue
        if deed.turn.task.args.get("state") == "absent":
            continue
        for path in deed.turn.record.artifacts:
            there = path in evidence.after.files or path in evidence.before.files
            if there or path not in evidence.after.looked_for:
                continue
            if not any(later.changed and later.concerns(path) for later in found[number + 1 :]):
                told = f"{path}, which it reports to have made"
                yield Finding("traces", deed.task_id, told, f"{path} does not exist")
