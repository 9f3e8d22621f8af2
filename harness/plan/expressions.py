"""Jinja in a plan: whether it can be parsed, and which secrets it names. Nothing is evaluated."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.models.plan import Handler, Task
from harness.models.problems import Keys

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class Finding:
    error: str | None = None
    secrets: tuple[str, ...] = ()
    unnamed_secret: bool = False
    """`secret()` of something else than one name in quotes."""


NOTHING = Finding()

_NUMBERED = re.compile(r"(?<=[A-Za-z_])\d+")


class Parser:
    """Parses each distinct text once."""

    def __init__(self) -> None:
        self._known: dict[str, Finding] = {}

    def template(self, text: str) -> Finding:
        if not is_template(text):
            return NOTHING
        # What stands around the marks makes no difference, unless one that is opened is never closed.
        end = text.rfind("}") + 1
        return self._parse(text[text.find("{") :] if is_template(text[end:]) else text[text.find("{") : end])

    def expression(self, text: str) -> Finding:
        return self._parse("{% if " + text + " %}{% endif %}")

    def secrets(self, text: str) -> tuple[str, ...]:
        """Of a template or of an expression that has been checked already."""
        if "secret" not in text:
            return ()
        return (self.template(text) if is_template(text) else self.expression(text)).secrets

    def _parse(self, text: str) -> Finding:
        if "secret" not in text:
            # A generated plan has ten thousand expressions that differ in the number of a name.
            text = _NUMBERED.sub("0", text)
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._look(text)
        return found

    def _look(self, text: str) -> Finding:
        from jinja2 import TemplateError, nodes

        try:
            with warnings.catch_warnings():
                # Python warns of '\d' in a string; Jinja and the runner take it as it stands.
                warnings.simplefilter("ignore")
                tree = _environment().parse(text)
                calls = list(tree.find_all(nodes.Call)) if "secret" in text else []
        except TemplateError as error:
            return Finding(f"is no valid Jinja: {error.message}")
        except RecursionError:
            return Finding("is no valid Jinja: it is nested too deeply")
        except (ValueError, OverflowError) as error:
            return Finding(f"is no valid Jinja: {error}")
        secrets: dict[str, None] = {}
        unnamed = False
        for call in calls:
            if isinstance(call.node, nodes.Name) and call.node.name == "secret":
                name = call.args[0].value if len(call.args) == 1 and isinstance(call.args[0], nodes.Const) else None
                if isinstance(name, str):
                    secrets[name] = None
                else:
                    unnamed = True
        return Finding(None, tuple(secrets), unnamed)


@cache
def _environment() -> Environment:
    from jinja2 import Environment

    return Environment(autoescape=False)


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text or "{#" in text


def strings(value: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Every text within a value, with the way to it."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, (*keys, index))


def of_task(task: Task | Handler, parser: Parser) -> Iterator[tuple[Keys, Finding]]:
    """What is worth telling about a task's expressions and templates; `keys` lead from the task on."""
    for keys, text in _templates(task):
        if (found := parser.template(text)) is not NOTHING and found != NOTHING:
            yield keys, found
    for keys, text in _expressions(task):
        if (found := parser.expression(text)) != NOTHING:
            yield keys, found


def secrets_of_task(task: Task | Handler, parser: Parser) -> Iterator[tuple[Keys, str]]:
    """Every secret that a task names, with the way from the task on."""
    for keys, text in (*_templates(task), *_expressions(task)):
        for name in parser.secrets(text):
            yield keys, name


def _templates(task: Task | Handler) -> Iterator[tuple[Keys, str]]:
    yield from strings(task.args, ("args",))
    for name in ("vars", "environment", "loop", "loop_control", "become_user", "ignore_errors"):
        value = getattr(task, name)
        if value:
            yield from strings(value, (name,))


def _expressions(task: Task | Handler) -> Iterator[tuple[Keys, str]]:
    for text in task.when:
        if isinstance(text, str):
            yield _place_of_condition(task, text), text
    for name in ("changed_when", "failed_when", "until"):
        for text in getattr(task, name) or ():
            if isinstance(text, str):
                yield (name,), text
    module = task.module.rpartition(".")[2]
    if module == "assert":
        that = task.args.get("that")
        for keys, text in strings(that, ("args", "that")):
            if not is_template(text):
                yield keys, text
    elif module == "debug" and isinstance(variable := task.args.get("var"), str) and not is_template(variable):
        yield ("args", "var"), variable


def _place_of_condition(task: Task | Handler, text: str) -> Keys:
    """`when` holds what `conditions` said and what the keyword said."""
    for index, condition in enumerate(task.conditions):
        if isinstance(condition, dict):
            for tag, body in condition.items():
                said = body.values() if isinstance(body, dict) else ()
                if any(isinstance(part, str) and part.strip() and part in text for part in said):
                    return ("conditions", index, tag)
    return ("when",)
