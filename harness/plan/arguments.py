"""A task's module and arguments against what a compiler honours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.models.plan import Handler, Task
from harness.models.problems import Keys, shown
from harness.plan import fields, keywords
from harness.plan.expressions import is_template, strings
from harness.plan.fields import Suggestions, Wrong
from harness.plan.files import module_name
from harness.plan.free_form import options_in
from harness.plan.modules import BUILTIN

if TYPE_CHECKING:
    from harness.compile.base import Honours, ModuleSupport


@dataclass(frozen=True)
class Fault:
    """`keys`: the way from the task on. `lacking`: the compiler does not honour it, another may; else it is wrong.
    `nobodys`: a module that Ansible has not either, as far as its name tells."""

    keys: Keys
    words: str
    hint: str | None = None
    lacking: bool = False
    nobodys: bool = False

    @property
    def by_ansible(self) -> bool:
        """Whether Ansible could do what the compiler cannot."""
        return self.lacking and not self.nobodys


_SYMBOLIC = re.compile(r"[ugoa]*([-+=]([rwxXst]+|[ugo])?)+(,[ugoa]*([-+=]([rwxXst]+|[ugo])?)+)*")
_MODES = ("mode", "directory_mode")


def refused(task: Task | Handler, honours: Honours, suggestions: Suggestions) -> Iterator[Fault]:
    """Everything of the task that the compiler does not honour, or that its module would refuse."""
    name = module_name(task.module)
    support = honours.modules.get(name)
    if support is None:
        if task.module:
            # What Ansible has is meant as it stands; so is what names its collection.
            meant = None if name in BUILTIN or "." in name else suggestions.nearest(name, honours.modules)
            words = f"the module {shown(task.module)} is not honoured"
            words += f"; did you mean {meant}?" if meant else ""
            nobodys = name not in BUILTIN and "." not in name
            yield Fault(("module",), words, _known_modules(honours), lacking=meant is None, nobodys=nobodys)
    else:
        yield from _arguments(task, name, support, suggestions)
    yield from _texts(task, honours)
    yield from _keywords(task, honours)


def octal_mode(value: Any) -> str | None:
    """A mode given as a number, as Ansible reads it (decimal), in octal."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o7777:
        return f"{value:04o}"
    return None


def _texts(task: Task | Handler, honours: Honours) -> Iterator[Fault]:
    named = task.task_id if isinstance(task, Task) else task.handler_id
    everywhere: list[tuple[Keys, str]] = [(("task_id",), named), (("name",), task.name)]
    for keys, text in (*everywhere, *strings(task.args, ("args",))):
        words = honours.refuses_text(text)
        if words is not None:
            yield Fault(keys, words, lacking=True)
        elif keys[0] == "args" and not honours.templates and is_template(text):
            words = "templates are not honoured: this would be taken as it stands"
            yield Fault(keys, words, "write the value itself", lacking=True)


def _known_modules(honours: Honours) -> str:
    return f"honoured are {', '.join(sorted(honours.modules))}"


def _arguments(task: Task | Handler, module: str, support: ModuleSupport, suggestions: Suggestions) -> Iterator[Fault]:
    given: dict[str, Any] = {}
    for key, value in task.args.items():
        own = support.aliases.get(key, key)
        if key == "_raw_params":
            if not support.free_form:
                words, hint = f"{module} takes no free-form text", f"its arguments are {_listed(support)}"
                yield Fault(("args", key), words, hint, lacking=True)
                continue
            _, options = options_in(str(value), shell=module == "shell")
            for name in options.keys() - support.arguments:
                yield Fault(("args", key), *_unknown(name, module, support, suggestions), lacking=True)
        elif own not in support.arguments and not support.any_arguments:
            yield Fault(("args", key), *_unknown(key, module, support, suggestions), lacking=True)
            continue
        if value is None:
            continue  # as if it were not there, as in Ansible
        if own in given:
            yield Fault(("args", key), f"{own} is given twice, under two of its names")
        given[own] = value
        yield from _wrong_value(("args", key), own, value, support, suggestions)
    for needed in (*support.required, *support.needs):
        if needed.isdisjoint(given):
            public = [name for name in sorted(needed) if not name.startswith("_") and name != "content_b64"]
            words = public[0] if len(public) == 1 else f"one of {', '.join(public)}"
            yield Fault(("args",), f"{module} needs {words}", lacking=needed in support.needs)
    if support.any_arguments:
        for key in task.args:
            if key not in support.arguments and not fields.is_variable_name(key):
                yield Fault(("args", key), f"{shown(key)} is no name for a variable")


def _unknown(key: str, module: str, support: ModuleSupport, suggestions: Suggestions) -> tuple[str, str | None]:
    meant = suggestions.nearest(key, [*support.arguments, *support.aliases])
    words = f"{module} has no argument {shown(key)}" + (f"; did you mean {meant}?" if meant else "")
    return words, None if meant else f"its arguments are {_listed(support)}"


def _listed(support: ModuleSupport) -> str:
    names = sorted(name for name in support.arguments if not name.startswith("_") and name != "content_b64")
    return ", ".join(names) or "none"


def _wrong_value(
    keys: Keys, name: str, value: Any, support: ModuleSupport, suggestions: Suggestions
) -> Iterator[Fault]:
    if isinstance(value, str) and is_template(value):
        return
    choices = support.choices.get(name)
    if choices is not None and not isinstance(value, dict | list):
        text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        if text not in choices and str(value).lower() not in choices:
            meant = suggestions.nearest(text, choices)
            words = f"should be one of {', '.join(sorted(choices))}, not {shown(value)}"
            yield Fault(keys, words, f"did you mean {meant}?" if meant else None, lacking=meant is None)
    elif choices is not None:
        yield Fault(keys, f"should be one of {', '.join(sorted(choices))}, not {shown(value)}")
    if name in _MODES:
        yield from (Fault(keys, *wrong) for wrong in _wrong_mode(value))
    if name in support.readers:
        try:
            support.readers[name](value)
        except Wrong as wrong:
            yield Fault((*keys, *wrong.keys), wrong.words, wrong.hint, lacking=True)


def _wrong_mode(value: Any) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, str):
        if value != "preserve" and not re.fullmatch(r"[0-7]{1,5}", value) and not _SYMBOLIC.fullmatch(value):
            yield f'should be an octal mode such as "0644", or u=rw,g=r, not {shown(value)}', None
        return
    if isinstance(value, bool) or not isinstance(value, int):
        yield f'should be an octal mode such as "0644", not {shown(value)}', None
        return
    meant = octal_mode(value)
    digits = str(value)
    if meant is None:
        yield f"{shown(value)} is no mode", 'write it as text, "0644"'
    elif re.fullmatch(r"[0-7]{3,4}", digits) and _plausible(int(digits, 8)):
        words = f"{digits} as a number is the octal mode {meant}: JSON has no octal numbers"
        yield words, f'write "0{digits}" (or "{meant}" if that is meant)'


def _plausible(mode: int) -> bool:
    """Whether people use such a mode: the owner can read or run it, and nobody can do more than the owner."""
    owner, group, other = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    return owner >= 4 and not group & ~owner and not other & ~owner and not other & ~group


def _keywords(task: Task | Handler, honours: Honours) -> Iterator[Fault]:
    for name in (*keywords.READERS, "tags", "notify"):
        if name not in honours.keywords and _is_used(task, name):
            yield Fault((name,), f"the keyword {name} is not honoured", lacking=True)
    for key, value in (task.model_extra or {}).items():
        if key not in honours.keywords and keywords.not_honoured(key, value, keywords.OTHERS):
            lacking = key not in keywords.NOT_OF_A_TASK
            yield Fault((key,), f"the keyword {key} is not honoured", _instead(key), lacking=lacking)


def _is_used(task: Task | Handler, name: str) -> bool:
    value = getattr(task, "register_" if name == "register" else name, None)
    return value not in (None, False, [], {})


def _instead(key: str) -> str | None:
    if key.startswith("with_"):
        return "use loop"
    return {"action": "use module and args", "delegate_to": "give the task to that host, by hosts"}.get(key)


def refused_of_play(extras: Mapping[str, Any], honours: Honours) -> Iterator[Fault]:
    for key, value in extras.items():
        if key not in honours.keywords and keywords.not_honoured(key, value, keywords.PLAY_OTHERS):
            lacking = key not in keywords.NOT_OF_A_PLAN
            yield Fault((key,), f"the keyword {key} is not honoured in a play", lacking=lacking)
