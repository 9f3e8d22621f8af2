"""Which paths each task of a slice names, and what the plan's tasks did to them: the tie between records and traces."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harness.machine import Look
from harness.models.runner import Payload, PayloadTask
from harness.plan.files import module_name
from harness.verify.conduct.evidence import Evidence
from harness.verify.conduct.expressions import Unknown, Variables
from harness.verify.conduct.replay import Turn, turns

PATHS: Mapping[str, tuple[str, ...]] = {
    "file": ("path", "dest", "name"),
    "copy": ("dest",),
    "template": ("dest",),
    "lineinfile": ("path", "dest", "destfile", "name"),
}
"""Modules that work on one path, and where their arguments name it: the first that is given."""
_SOURCES = ("creates", "removes")

FOLDERS = ("/", "/etc", "/root", "/home", "/opt", "/srv", "/usr/local/bin", "/tmp", "/var/tmp", "/dev/shm", "/var/lib")
"""Always looked into: where what strays is found first."""

_READERS = ("stat", "slurp", "find", "getent", "setup", "gather_facts", "ping")
_TALKERS = ("set_fact", "include_vars", "debug", "assert", "fail")
CLEAR = frozenset([*PATHS, *_READERS, *_TALKERS, "user", "group"])
"""Modules that do what their arguments say, and nothing else. All others are opaque."""
_MOST_FOLDERS = 100
_LARGEST = 16 << 20
"""Bytes of a file whose content is looked at in every run."""


def look_at(payload: Payload, host: str) -> Look:
    """What is to be seen of a host before and after its run, in one round trip."""
    paths: set[str] = set()
    for play in payload.plays:
        for task in (*play.tasks, *play.handlers):
            layers = {**payload.hosts.get(host, {}), **play.vars, **task.vars, "inventory_hostname": host}
            paths.update(_all_named(task, Variables(layers, closed=False)))
    folders = sorted({posixpath.dirname(path) for path in paths})[:_MOST_FOLDERS]
    return Look(
        paths=sorted({*paths, *folders, *FOLDERS}),
        folders=sorted({*folders, *FOLDERS}),
        largest=_LARGEST,
        processes=True,
        accounts=True,
        traffic=True,
    )


def _all_named(task: PayloadTask, variables: Variables) -> Iterator[str]:
    try:
        items = variables.items(task.loop) if task.loop is not None else [None]
    except Unknown:
        items = []
    name = task.loop_control.get("loop_var", "item")
    for item in items:
        own = variables.with_layer({str(name): item}) if task.loop is not None else variables
        for argument in (*PATHS.get(module_name(task.module), ()), *_SOURCES):
            path = path_of(task.args.get(argument), own)
            if path is not None:
                yield path
                if isinstance(base := task.args.get("_original_basename"), str):
                    yield posixpath.join(path, base)


def path_of(value: object, variables: Variables) -> str | None:
    """The absolute path that an argument names; None where there is none, or nobody can know."""
    if value is None:
        return None
    try:
        text = variables.render(value)
    except Unknown:
        return None
    return posixpath.normpath(text) if text.startswith("/") and "\0" not in text else None


@dataclass(frozen=True)
class Deed:
    """What a task that ran may have done. `paths`: those it names; None where it may be any (opaque, or not known).
    `changed`: it changed something, or may have."""

    turn: Turn
    paths: frozenset[str] | None
    changed: bool

    @property
    def task_id(self) -> str:
        return self.turn.task.task_id

    def concerns(self, path: str) -> bool:
        """Whether it may have had to do with this path, by itself or by what is above or below it."""
        if self.paths is None or self.turn.module == "user":  # whose home is made, too
            return True
        return any(_related(path, own) for own in self.paths)

    def works_on(self, path: str) -> bool:
        """Whether it may have changed this very path: not where it only works beside it, above or below it."""
        if self.paths is None or self.turn.module == "user":
            return True
        return any(path == own or self._reaches(path, own) for own in self.paths)

    def _reaches(self, path: str, own: str) -> bool:
        args = self.turn.task.args
        if path.startswith(own.rstrip("/") + "/"):
            return truth(args.get("recurse")) or args.get("state") == "absent" or truth(args.get("remote_src"))
        return self.makes_parents and own.startswith(path.rstrip("/") + "/")

    @property
    def makes_parents(self) -> bool:
        """Whether folders that are missing above its paths may be made by it."""
        args = self.turn.task.args
        into = any(str(args.get(name) or "").endswith("/") for name in PATHS.get(self.turn.module, ()))
        return self.turn.module in ("file", "lineinfile") or into or args.get("directory_mode") is not None


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(other.rstrip("/") + "/") or other.startswith(one.rstrip("/") + "/")


@lru_cache(maxsize=2)
def deeds(evidence: Evidence) -> tuple[Deed, ...]:
    """Of every task that ran and may have changed something, and of those that say they changed nothing."""
    return tuple(_deed(turn) for turn in turns(evidence))


def _deed(turn: Turn) -> Deed:
    # What the plan itself declares to be no change, and what failed half-way, may be one all the same.
    changed = turn.record.status in ("changed", "failed") or (
        turn.record.status == "ok" and turn.task.changed_when is not None
    )
    if "delegate_to" in turn.task.beyond:
        return Deed(turn, None, changed)
    if turn.module not in PATHS:
        clear = turn.module in CLEAR or turn.record.status == "skipped"
        return Deed(turn, frozenset() if clear else None, changed)
    return Deed(turn, _paths(turn), changed)


def _paths(turn: Turn) -> frozenset[str] | None:
    args = turn.task.args
    argument = next((name for name in PATHS[turn.module] if args.get(name) is not None), None)
    if argument is None:
        return None
    found: set[str] = set()
    try:
        for layer in turn.items():
            text = turn.variables.with_layer(layer).render(args[argument])
            if not text.startswith("/"):
                return None
            found.add(posixpath.normpath(text))
            if isinstance(base := args.get("_original_basename"), str):
                found.add(posixpath.normpath(posixpath.join(text, base)))
    except Unknown:
        return None
    return frozenset(found)


def is_opaque(deed: Deed, evidence: Evidence) -> bool:
    """What it did is told by nothing: neither its arguments nor a declaration."""
    return deed.paths is None and deed.task_id not in evidence.touches


def truth(value: Any) -> bool:
    return str(value).lower() in ("true", "yes", "on", "1")
