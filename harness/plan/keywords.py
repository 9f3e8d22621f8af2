"""Ansible's task keywords: how each is read, and those of which a plan may only have the harmless value."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from harness.plan import fields
from harness.plan.fields import Fields, Wrong

_LOOP_CONTROL: dict[str, Callable[[Any], Any]] = {
    "loop_var": fields.variable_name,
    "index_var": fields.variable_name,
    "label": lambda value: value,
    "pause": fields.number,
    "extended": fields.truth,
    "extended_allitems": fields.truth,
}


def _loop_control(value: Any) -> dict[str, Any]:
    found = {}
    for key, item in fields.mapping(value).items():
        reader = _LOOP_CONTROL.get(key)
        if reader is None:
            meant = fields.near(key, frozenset(_LOOP_CONTROL))
            known = f"did you mean {meant}?" if meant else f"known here: {', '.join(_LOOP_CONTROL)}"
            raise Wrong(f"unknown key; {known}", keys=(key,))
        if item is None:
            continue
        try:
            found[key] = reader(item)
        except Wrong as wrong:
            raise Wrong(wrong.words, keys=(key,), hint=wrong.hint) from None
    return found


READERS: dict[str, Callable[[Any], Any]] = {
    "register": fields.variable_name,
    "loop": fields.loop,
    "loop_control": _loop_control,
    "when": fields.conditions,
    "vars": fields.mapping,
    "environment": fields.environment,
    "become": fields.truth,
    "become_user": fields.identifier,
    "changed_when": fields.conditions,
    "failed_when": fields.conditions,
    "ignore_errors": fields.truth_or_template,
    "until": fields.conditions,
    "retries": fields.whole,
    "delay": fields.number,
    "timeout": fields.seconds,
    "no_log": fields.truth,
    "listen": fields.texts,
    "check_mode": fields.truth,
    "diff": fields.truth,
}
KEYWORDS = frozenset(READERS)

INHERITED = ("environment", "become", "become_user", "ignore_errors", "timeout", "no_log", "check_mode", "diff")
"""What a play hands down to its tasks and handlers (tags too, which are added up)."""

OTHERS: dict[str, tuple[object, ...]] = {
    "action": (),
    "always": (),
    "any_errors_fatal": (False,),
    "async": (0,),
    "become_exe": (),
    "become_flags": ("",),
    "become_method": (),
    "block": (),
    "collections": ([],),
    "connection": (),
    "debugger": (),
    "delegate_facts": (False,),
    "delegate_to": (),
    "ignore_unreachable": (False,),
    "local_action": (),
    "module_defaults": ({}, []),
    "poll": (0, 10, 15),
    "port": (),
    "remote_user": (),
    "rescue": (),
    "run_once": (False,),
    "throttle": (0,),
}
"""Ansible's other task keywords, with the values under which they do nothing."""

NOT_OF_A_TASK = frozenset({"action", "always", "block", "debugger", "local_action", "rescue"})
"""Those that say what the plan has other fields for, or that ask a person: nobody carries them out."""

TASKS_ALONE = (KEYWORDS | OTHERS.keys() | {"tags", "notify", "dependencies", "module", "args"}) - {"vars", "listen"}
"""What only a task has; `listen` only a handler."""

PLAY_OTHERS: dict[str, tuple[object, ...]] = {
    **{key: OTHERS[key] for key in ("any_errors_fatal", "become_exe", "become_flags", "become_method", "collections")},
    **{key: OTHERS[key] for key in ("connection", "debugger", "ignore_unreachable", "module_defaults", "port")},
    **{key: OTHERS[key] for key in ("remote_user", "run_once", "throttle")},
    "fact_path": (),
    "force_handlers": (False,),
    "gather_subset": (),
    "gather_timeout": (),
    "max_fail_percentage": (),
    "order": ("inventory",),
    "post_tasks": ([],),
    "pre_tasks": ([],),
    "roles": ([],),
    "tasks": (),
    "vars_files": ([],),
    "vars_prompt": ([],),
    "when": (),
}

NOT_OF_A_PLAN = frozenset(
    ["debugger", "post_tasks", "pre_tasks", "roles", "tasks", "vars_files", "vars_prompt", "when", "fact_path"]
)
"""The same for a play."""


def read(raw: Fields) -> dict[str, Any]:
    """The keywords that are given, by the names of the model's fields."""
    found = {}
    for key in raw.raw:
        reader = READERS.get(key)
        if reader is not None and (value := raw.get(key, reader, None)) is not None:
            found["register_" if key == "register" else key] = value
    if found.get("timeout") == 0:
        del found["timeout"]  # Ansible: no limit
    return found


def inherit(own: dict[str, Any], play: dict[str, Any]) -> dict[str, Any]:
    """A task's keywords with those of its play beneath."""
    if not play:
        return own
    merged = {**play, **own}
    if "environment" in play and "environment" in own:
        merged["environment"] = {**play["environment"], **own["environment"]}
    return merged


def not_honoured(key: str, value: object, others: dict[str, tuple[object, ...]]) -> bool:
    """Whether `key` is one of Ansible's keywords that would change the run and that no reader here knows."""
    if value is None:
        return False
    if key.startswith("with_") and len(key) > 5:
        return True
    return key in others and not any(value == idle and type(value) is type(idle) for idle in others[key])


def refuse_slips(raw: Fields, known: frozenset[str], others: dict[str, tuple[object, ...]]) -> None:
    """Unknown extra fields are kept, but not one that is nearly a known field: it would be read and ignored."""
    for key, value in raw.raw.items():
        if key in known or key in others or key.startswith("with_"):
            continue
        meant = fields.near(key, known)
        if meant is not None and value is not None:
            raw.faults.add((*raw.keys, key), f"unknown field; did you mean {meant}?")


def refuse_misplaced(raw: Fields, names: Collection[str], words: str) -> None:
    """Fields that mean something, but not here: they would be read and ignored."""
    for key, value in raw.raw.items():
        if key in names and value is not None:
            raw.faults.add((*raw.keys, key), words)


def play_keywords(raw: Fields) -> dict[str, Any]:
    """What the play hands down."""
    found = {}
    for key in INHERITED:
        if (value := raw.get(key, READERS[key], None)) is not None:
            found[key] = value
    return found
