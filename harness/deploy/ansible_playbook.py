"""A slice of a plan as an Ansible playbook: the same tasks, order, conditions, handlers and keywords.

One line of the file is one task, as JSON (which YAML contains): Ansible tells of each result the line it stands at,
so that it finds its way back whatever the task's name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.deploy.ansible_files import Files
from harness.models.runner import Payload, PayloadPlay, PayloadTask
from harness.plan.files import module_name
from harness.plan.modules import BUILTIN

SECRETS = "harness_secrets"
"""The variable that holds the secrets; it travels in a file of mode 0600."""

_SAME = (
    "tags", "notify", "loop", "loop_control", "vars", "environment", "become_user", "changed_when", "failed_when",
    "ignore_errors", "until", "retries", "delay", "check_mode", "diff", "when",
)  # fmt: skip
_MEANT_EMPTY = ("changed_when", "failed_when", "loop")
"""Nothing here is not the same as an empty list."""
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What YAML wants escaped and JSON does not (yaml.org/spec/1.2.2, production 1)."""
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_SECRET = re.compile(r"""\bsecret\(\s*(['"])([^'"]*)\1\s*\)""")
_EXPRESSIONS = ("when", "changed_when", "failed_when", "until")


@dataclass(frozen=True)
class Spot:
    """What stands at a line. A `stub` is a handler of which only is to be known that it was notified."""

    task: PayloadTask
    handler: bool = False
    stub: bool = False


@dataclass(frozen=True)
class Excerpt:
    """What of a play goes into the playbook. `notified`: handlers that run at its end as if a task had notified them;
    those in neither `handlers` nor `notified` are stubs."""

    play: int
    tasks: frozenset[str]
    handlers: frozenset[str] = frozenset()
    notified: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """Where variables are taken from before the first task, and handed to after the last: folders with a file for
    each host. `names`: what to hand over, beside facts."""

    registered: Path
    facts: Path
    out: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class Playbook:
    path: Path
    spots: Mapping[int, Spot] = field(repr=False)
    """By line, from 1."""


def whole(payload: Payload) -> list[Excerpt]:
    """All of it, handlers run by Ansible."""
    return [
        Excerpt(
            index,
            frozenset(task.task_id for task in play.tasks),
            frozenset(handler.task_id for handler in play.handlers),
        )
        for index, play in enumerate(payload.plays)
    ]


def write_playbook(
    folder: Path,
    payload: Payload,
    hosts: Sequence[str],
    excerpts: Sequence[Excerpt],
    *,
    environment: Mapping[str, str],
    exchange: Exchange | None = None,
) -> Playbook:
    """Write `playbook.yml` and the files it copies into `folder`, which is nobody else's to read.

    `environment`: of every task, beneath its own.
    """
    writer = _Writer(Files(folder), hosts, environment)
    if exchange is not None:
        writer.bare_play(_taking_in(exchange))
    for excerpt in excerpts:
        writer.play(payload.plays[excerpt.play], excerpt)
    if exchange is not None:
        export = {"export": f"{exchange.out}/{{{{ inventory_hostname }}}}.json", "names": list(exchange.names)}
        writer.bare_play([{"name": "what the tasks have left", "harness_state": export, "no_log": True}])
    path = folder / "playbook.yml"
    path.write_text("".join(f"{line}\n" for line in writer.lines), encoding="utf-8")
    return Playbook(path, writer.spots)


def _taking_in(exchange: Exchange) -> list[dict[str, Any]]:
    variables = {"file": f"{exchange.registered}/{{{{ inventory_hostname }}}}.json"}
    facts = {"facts": f"{exchange.facts}/{{{{ inventory_hostname }}}}.json"}
    return [
        {"name": "what earlier tasks have left", "ansible.builtin.include_vars": variables, "no_log": True},
        {"name": "facts", "harness_state": facts, "no_log": True},
    ]


class _Writer:
    """Collects lines, and what stands at them."""

    def __init__(self, files: Files, hosts: Sequence[str], environment: Mapping[str, str]) -> None:
        self.lines: list[str] = ["---"]
        self.spots: dict[int, Spot] = {}
        self._files = files
        self._hosts = list(hosts)
        self._environment = dict(environment)

    def bare_play(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        self._head("the state", {})
        self._list("tasks")
        for task in tasks:
            self.lines.append(f"    - {to_line(task)}")

    def play(self, play: PayloadPlay, excerpt: Excerpt) -> None:
        keywords: dict[str, Any] = {**play.beyond}
        if play.vars:
            keywords["vars"] = with_secrets(play.vars)
        if self._environment:
            keywords["environment"] = self._environment
        self._head(play.name or f"play {excerpt.play}", keywords)
        self._list("tasks")
        if excerpt.notified:
            self.lines.append(f"    - {to_line(_notifying(excerpt.notified))}")
        for task in play.tasks:
            if task.task_id in excerpt.tasks:
                self._task(task, Spot(task))
        if play.handlers:
            self._list("handlers")
        for handler in play.handlers:
            real = handler.task_id in excerpt.handlers or handler.task_id in excerpt.notified
            self._task(handler, Spot(handler, handler=True, stub=not real))

    def _head(self, name: str, keywords: Mapping[str, Any]) -> None:
        head = {"name": name, "hosts": self._hosts, "gather_facts": False, **keywords}
        for number, (key, value) in enumerate(head.items()):
            self.lines.append(f"{'  ' if number else '- '}{key}: {to_line(value)}")

    def _list(self, name: str) -> None:
        self.lines.append(f"  {name}:")

    def _task(self, task: PayloadTask, spot: Spot) -> None:
        body = _stub(task) if spot.stub else task_body(task, self._files)
        if spot.handler:
            body["listen"] = [*dict.fromkeys([*task.listen, task.task_id]), topic(task.task_id)]
        self.lines.append(f"    - {to_line(body)}")
        self.spots[len(self.lines)] = spot


def topic(handler: str) -> str:
    """What only we notify a handler by."""
    return f"harness handler {handler}"


def _notifying(handlers: Sequence[str]) -> dict[str, Any]:
    return {
        "name": "handlers that earlier tasks have notified",
        "ansible.builtin.debug": {"msg": ""},
        "changed_when": True,
        "notify": [topic(handler) for handler in handlers],
        "tags": ["always"],
    }


def _stub(task: PayloadTask) -> dict[str, Any]:
    return {"name": task.name or task.task_id, "ansible.builtin.debug": {"msg": ""}}


def task_body(task: PayloadTask, files: Files) -> dict[str, Any]:
    """One task as Ansible has it."""
    body: dict[str, Any] = {}
    if task.name:
        body["name"] = task.name
    body[_qualified(task.module)] = _arguments(task, files)
    for name in _SAME:
        value = getattr(task, name)
        if value not in (None, False, [], {}) or (value in (False, []) and name in _MEANT_EMPTY):
            body[name] = with_secrets(value, expression=name in _EXPRESSIONS)
    if task.become:
        body["become"] = True
    if task.check_mode is not None:
        body["check_mode"] = task.check_mode
    if task.diff is not None:
        body["diff"] = task.diff
    if task.register_ is not None:
        body["register"] = task.register_
    if task.timeout is not None:
        body["timeout"] = math.ceil(task.timeout)
    if task.no_log:
        body["no_log"] = True
    return {**body, **with_secrets(task.beyond)}


def _qualified(module: str) -> str:
    short = module_name(module)
    return f"ansible.builtin.{short}" if short in BUILTIN else module


def _arguments(task: PayloadTask, files: Files) -> Any:
    args = with_secrets(dict(task.args))
    module = module_name(task.module)
    if module in ("copy", "template", "unarchive"):
        return files.sourced(module, args)
    raw = args.pop("_raw_params", None)
    if raw is None:
        if module == "assert" and "that" in args:
            args["that"] = with_secrets(args["that"], expression=True)
        return args
    if module in ("command", "shell"):
        return {"cmd": raw, **args}
    return raw if not args else {"_raw_params": raw, **args}


def with_secrets(value: Any, *, expression: bool = False) -> Any:
    """`secret('NAME')` in templates as Ansible can have it; in an expression it needs no braces around it."""
    if isinstance(value, str):
        if "secret" not in value:
            return value
        if expression:
            return _named(value)
        return _TEMPLATE.sub(lambda found: _named(found[0]), value)
    if isinstance(value, Mapping):
        return {key: with_secrets(item, expression=expression) for key, item in value.items()}
    if isinstance(value, list):
        return [with_secrets(item, expression=expression) for item in value]
    return value


def _named(text: str) -> str:
    return _SECRET.sub(lambda found: f"{SECRETS}[{found[1]}{found[2]}{found[1]}]", text)


def to_line(value: Any) -> str:
    """JSON in one line that YAML reads as the same value."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def registering(payload: Payload) -> Iterator[str]:
    """Every variable that a task of the payload may set by `register` or set_fact."""
    for play in payload.plays:
        for task in (*play.tasks, *play.handlers):
            if task.register_ is not None:
                yield task.register_
            if module_name(task.module) == "set_fact":
                yield from (name for name in task.args if name != "cacheable")
