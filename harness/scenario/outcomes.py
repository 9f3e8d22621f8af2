"""Expected outcomes from a file: what each host must look like after the plan has run. See docs/fixtures.md."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from harness.errors import Problem
from harness.models.config import (
    ArtifactCheck,
    ExpectedOutcome,
    FileContent,
    FileExists,
    FileMode,
    FileSize,
    PerformanceThreshold,
    ProcessRunning,
    ServiceStatus,
    TaskExpectation,
)
from harness.models.plan import Plan
from harness.models.problems import Keys, path_text, problems_of, shown
from harness.models.serde import Model
from harness.plan.document import read_document, refuse
from harness.plan.fields import Suggestions
from harness.verify.services import WORDS


class Outcomes(Model):
    """The file's content; a plain list in the file is `expected_outcomes` alone."""

    expected_outcomes: list[ExpectedOutcome]
    description: str = ""
    complexity: Literal["Simple", "Medium", "Complex", "Performance"] | None = None
    category: Literal["basic", "cross-compilation", "large-scale", "error", "performance"] | None = None
    platform: dict[str, JsonValue] = Field(default_factory=dict)
    """Keys that each platform made for this fixture gets, as in molecule.yml (`image`, `init`)."""


def read_outcomes(path: Path) -> Outcomes:
    """Raises InvalidInput with every problem: syntax, types, misspelt keys, values that no check could meet."""
    value = read_document(path).value
    wrapped = {"expected_outcomes": value} if isinstance(value, list) else value

    def where(keys: Keys) -> str:
        place = path_text(keys)
        if isinstance(value, list):
            place = place.removeprefix("expected_outcomes")
        return f"{path.name}: {place}" if place else path.name

    problems = [Problem(where(keys), words) for keys, words in misspelt(wrapped)]
    try:
        outcomes = Outcomes.model_validate(wrapped)
    except ValidationError as error:
        refuse(path, problems + problems_of(error, wrapped, model=Outcomes, where=where))
    problems.extend(Problem(where(keys), words) for keys, words in impossible(outcomes))
    if problems:
        refuse(path, problems)
    return outcomes


def check_outcomes(expected: Iterable[ExpectedOutcome], plan: Plan, *, source: Path) -> list[Problem]:
    """Hosts and tasks that the plan does not have, and tasks that are not for that host."""
    of_host: dict[str, set[str]] = {host: set() for host in plan.hosts}
    handlers: set[str] = set()
    for play in plan.plays:
        handlers.update(handler.handler_id for handler in play.handlers)
        for batch in play.batches:
            for task in batch.tasks:
                for host in task.hosts:
                    of_host.setdefault(host, set()).add(task.task_id)
    every = set().union(*of_host.values()) if of_host else set()
    suggestions = Suggestions()
    problems = []
    for i, outcome in enumerate(expected):
        where = f"{source.name}: expected_outcomes[{i}]"
        if outcome.host not in of_host:
            problems.append(Problem(f"{where}.host", _no_such("host", outcome.host, of_host, suggestions)))
            continue
        for j, expectation in enumerate(outcome.tasks):
            name = expectation.task_id
            if name in of_host[outcome.host] or name in handlers:
                continue
            words = _no_such("task", name, every, suggestions)
            if name in every:
                words = f"the task {shown(name)} is not for the host {shown(outcome.host)}"
            problems.append(Problem(f"{where}.tasks[{j}].task_id", words))
    return problems


def _no_such(kind: str, name: str, known: Collection[str], suggestions: Suggestions) -> str:
    near = suggestions.nearest(name, known)
    return f"the plan has no {kind} {shown(name)}" + (f"; did you mean {shown(near)}?" if near else "")


def misspelt(value: object) -> Iterator[tuple[Keys, str]]:
    """Unknown keys that are nearly a known one: serde would ignore them, and a check with them."""
    if not isinstance(value, Mapping):
        return
    yield from near_misses(value, Outcomes, ())
    for i, outcome in _items(value, "expected_outcomes"):
        yield from near_misses(outcome, ExpectedOutcome, ("expected_outcomes", i))
        threshold = outcome.get("performance_threshold")
        if isinstance(threshold, Mapping):
            yield from near_misses(threshold, PerformanceThreshold, ("expected_outcomes", i, "performance_threshold"))
        for j, task in _items(outcome, "tasks"):
            yield from near_misses(task, TaskExpectation, ("expected_outcomes", i, "tasks", j))
            for k, check in _items(task, "artifacts"):
                yield from near_misses(check, ArtifactCheck, ("expected_outcomes", i, "tasks", j, "artifacts", k))


def _items(owner: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    items = owner.get(key)
    if isinstance(items, list):
        yield from ((index, item) for index, item in enumerate(items) if isinstance(item, Mapping))


def near_misses(value: Mapping[str, Any], model: type[Model], keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Keys of one mapping that are nearly one of the model's."""
    known = list(model.model_fields)
    for key in value:
        if key not in known and (near := get_close_matches(str(key), known, n=1, cutoff=0.75)):
            yield (*keys, str(key)), f"unknown key; did you mean {near[0]}?"


def impossible(outcomes: Outcomes) -> Iterator[tuple[Keys, str]]:
    """Expectations that no check could meet."""
    hosts: set[str] = set()
    for i, outcome in enumerate(outcomes.expected_outcomes):
        if outcome.host in hosts:
            yield ("expected_outcomes", i, "host"), f"the host {shown(outcome.host)} comes twice"
        hosts.add(outcome.host)
        tasks: set[str] = set()
        for j, task in enumerate(outcome.tasks):
            keys = ("expected_outcomes", i, "tasks", j)
            if task.task_id in tasks:
                yield (*keys, "task_id"), f"the task {shown(task.task_id)} comes twice for this host"
            tasks.add(task.task_id)
            for k, check in enumerate(task.artifacts):
                for key, words in _wrong_check(check):
                    yield (*keys, "artifacts", k, key), words


def _wrong_check(check: ArtifactCheck) -> Iterator[tuple[str, str]]:
    kind, value = check.check_type, check.expected_value
    if not check.path:
        yield "path", "is empty"
    if isinstance(kind, FileExists | ProcessRunning) and value not in ("true", "false"):
        yield "expected_value", f'should be "true" or "false", not {shown(value)}'
    elif isinstance(kind, FileMode) and not re.fullmatch(r"(0o)?0?[0-7]{3,4}", value):
        yield "expected_value", f'should be an octal mode such as "0644", not {shown(value)}'
    elif isinstance(kind, FileContent) and kind.regex:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a pattern that a later Python reads otherwise is not wrong now
                re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            yield "expected_value", f"is no regular expression: {error}"
    elif isinstance(kind, FileSize):
        yield from _wrong_size(kind, value)
    elif isinstance(kind, ServiceStatus):
        words = {word.strip().lower() for word in value.split(",")}
        if not words <= WORDS.keys():
            yield "expected_value", f"should be one or more of {', '.join(sorted(WORDS))}, not {shown(value)}"


def _wrong_size(kind: FileSize, value: str) -> Iterator[tuple[str, str]]:
    bounds = (kind.min, kind.max)
    if any(bound is not None and bound < 0 for bound in bounds):
        yield "check_type", "a size is not negative"
    if kind.min is not None and kind.max is not None and kind.min > kind.max:
        yield "check_type", f"min {kind.min} is more than max {kind.max}"
    if bounds == (None, None) and not re.fullmatch(r"[0-9]{1,18}", value):
        yield "expected_value", f"should be a size in bytes (or give min or max), not {shown(value)}"
