"""Run the plan between two looks at the platforms, for `harness compare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from harness.deadline import Deadline
from harness.lifecycle.failures import all_done
from harness.lifecycle.observed import Observed
from harness.lifecycle.steps.converge import checked_plan, execute

if TYPE_CHECKING:
    from harness.lifecycle.context import Context
    from harness.machine import Machine

T = TypeVar("T")

_PATIENCE = 600.0
"""Seconds for looking at all platforms: like compiling, it is not the scenario's time."""
_TEXT_LIMIT = 1 << 16
"""Bytes of a file that may be shown; a larger one is compared by its sum alone."""
_TEXTS = 500
"""Files a platform whose content is fetched to be shown."""


def observe(context: Context) -> None:
    """How the tasks end is not judged here: two such runs are compared."""
    checked = checked_plan(context)
    before = _each(context, lambda host: _look(context, host)[0])
    execute(context, checked, step="converge")
    context.ledger.observed.update(_each(context, lambda host: _finished(context, host, before[host])))


def survey(context: Context) -> None:
    """The platforms as the plan would find them: the files in question, and nothing else."""
    from harness.machine import Look, capture

    def look(host: str) -> Observed:
        seen = capture(context.fleet.connection(host), Look(paths=context.options.sums), timeout=_PATIENCE)
        return Observed(seen, seen, texts=_texts(context, host, seen, sorted(context.options.sums)))

    context.ledger.observed.update(_each(context, look))


def _each(context: Context, look: Callable[[str], T]) -> dict[str, T]:
    context.connections("observe")
    with context.deadline.aside(_PATIENCE):
        return all_done(context.each(context.hosts, look, Deadline(_PATIENCE)))


def _look(context: Context, host: str) -> tuple[Machine, bool]:
    """At all that has been written there where the driver tells of it, else at everything (then it is True)."""
    from harness.machine import Look, capture

    member = context.fleet.members[host]
    written = member.site.written(member.instance)
    look = Look(
        paths=written.paths | context.options.sums if written else context.options.sums,
        trees=written.elsewhere if written else (),
        everything=written is None,
        processes=True,
        sockets=True,
        accounts=True,
        packages=True,
        units=True,
        services=True,
    )
    return capture(context.fleet.connection(host), look, timeout=_PATIENCE), written is None


def _finished(context: Context, host: str, before: Machine) -> Observed:
    """With the sums of all files that were touched here."""
    from harness.machine import Look, capture

    connection = context.fleet.connection(host)
    connection.tidy()  # a binary that is kept for the next run is nothing that the plan has left
    after, whole = _look(context, host)
    paths = before.files.keys() | after.files.keys()
    # What was written, and had not been before the run, was written by it; of what is gone nothing else tells.
    touched = {path for path in paths if before.files.get(path) != after.files.get(path)}
    touched |= after.looked_for - before.looked_for
    files = [path for path in sorted(touched) if _is_file(after, path)]
    if unsummed := [path for path in files if after.files[path].sha256 is None]:
        after.files.update(capture(connection, Look(paths=unsummed), timeout=_PATIENCE).files)
    asked = touched | context.options.sums
    found = _texts(context, host, after, [*sorted(asked), *sorted(after.looked_for - asked)])
    return Observed(before, after, whole, frozenset(touched), found)


def _is_file(machine: Machine, path: str) -> bool:
    entry = machine.files.get(path)
    return entry is not None and entry.kind == "file"


def _texts(context: Context, host: str, machine: Machine, paths: Sequence[str]) -> dict[str, str]:
    """Of the small files of text among `paths`, the first ones rather than the last."""
    from harness.verify.probe import look
    from harness.verify.seen import Wanted

    small = [path for path in paths if _is_file(machine, path) and machine.files[path].size <= _TEXT_LIMIT]
    wanted = Wanted(contents=dict.fromkeys(small[:_TEXTS], _TEXT_LIMIT))
    contents = look(context.fleet.connection(host), wanted).contents if small else {}
    return {
        path: context.mask.text(content.data.decode())
        for path, content in contents.items()
        if content.trouble is None and _is_text(content.data)
    }


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False
