"""From expected outcomes to checks: artifacts, validation commands, results of tasks, the way of deployment."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import InvalidInput, Problem
from harness.models.config import (
    ArtifactCheck,
    ExpectedOutcome,
    ExpectFailure,
    ExpectSkip,
    FileContent,
    FileExists,
    FileMode,
    FileSize,
    ProcessRunning,
    ServiceStatus,
    TaskExpectation,
    TaskResult,
)
from harness.models.plan import Plan
from harness.models.results import Failed, HostExecutionResult, Skipped, Success, TaskExecutionResult
from harness.verify import checks as ask
from harness.verify.checks import Check, Question, Verdict, verdict
from harness.verify.seen import Seen
from harness.verify.services import WORDS

_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class TaskResultIs(Question):
    """What the run reported for a task. `result` is None when it left no record, `known` false when nothing
    is known of the last run at all."""

    wanted: TaskResult
    result: TaskExecutionResult | None
    known: bool
    planned: bool = True

    @property
    def label(self) -> str:
        return self.wanted.tag

    @property
    def subject(self) -> str:
        return ""

    def judge(self, seen: Seen) -> Verdict:
        expected = _expected(self.wanted)
        if not self.known:
            return Verdict("skipped", expected, "no results of a converge are known", hint="run `harness converge`")
        if self.result is None:
            if isinstance(self.wanted, ExpectSkip) and not self.planned:
                return verdict(True, expected, "not for this host")
            return verdict(
                False,
                expected,
                "it did not run",
                hint="a task before it failed, or tags left it out; of a handler: nothing notified it",
            )
        status = self.result.status
        passed = False
        if isinstance(self.wanted, ExpectFailure):
            passed = isinstance(status, Failed) and _says(self.wanted.expected_error, _error(self.result))
        elif isinstance(self.wanted, ExpectSkip):
            passed = isinstance(status, Skipped) and _says(self.wanted.reason, status.reason)
        else:
            passed = isinstance(status, Success)
        return verdict(passed, expected, _actual(self.result), hint=_hint(self.wanted, self.result))


@dataclass(frozen=True)
class DeployedBy(Question):
    """The host was deployed by the expected method (binary, ssh)."""

    method: str
    result: HostExecutionResult | None
    label = "DeploymentMethod"

    @property
    def subject(self) -> str:
        return self.method

    def judge(self, seen: Seen) -> Verdict:
        if self.result is None:
            return Verdict("skipped", self.method, "no results of a converge are known")
        actual = self.result.deployment_method
        return verdict(actual.lower() == self.method.lower(), self.method, actual)


def expectation_checks(
    expected: Sequence[ExpectedOutcome],
    *,
    hosts: Sequence[str],
    plan: Plan | None,
    results: Sequence[HostExecutionResult],
) -> list[Check]:
    """The checks for `hosts`, in the order of the expectations.

    Hosts of the plan that are not among `hosts` are left out. Raises InvalidInput with every host and task that
    does not exist, and every value that no check could mean.
    """
    problems: list[Problem] = []
    found: list[Check] = []
    tasks = _Tasks(plan)
    by_host = {result.host: _Result(result, _records(result)) for result in results}
    for i, outcome in enumerate(expected):
        where = f"expected_outcomes[{i}]"
        if outcome.host not in hosts:
            if plan is None or outcome.host not in plan.hosts:
                problems.append(Problem(f"{where}.host", f"there is no host {outcome.host!r}", _known(hosts)))
            continue
        result = by_host.get(outcome.host)
        if outcome.expected_method:
            method = DeployedBy(outcome.expected_method, result.whole if result else None)
            found.append(Check(outcome.host, "", "", method))
        for j, task in enumerate(outcome.tasks):
            place = f"{where}.tasks[{j}]"
            wrong = tasks.wrong(task, outcome.host)
            if wrong:
                problems.append(Problem(f"{place}.task_id", wrong))
                continue
            record = result.records.get(task.task_id) if result else None
            planned = tasks.is_for(task.task_id, outcome.host)
            questions: list[Question] = [TaskResultIs(task.expected_result, record, result is not None, planned)]
            questions += _questions(task, place, problems)
            name = tasks.name(task.task_id)
            found.extend(Check(outcome.host, task.task_id, name, question) for question in questions)
    if problems:
        raise InvalidInput("expected outcomes", problems)
    return found


def _questions(task: TaskExpectation, place: str, problems: list[Problem]) -> list[Question]:
    questions: list[Question] = []
    for k, artifact in enumerate(task.artifacts):
        try:
            questions.append(question_of(artifact))
        except ValueError as error:
            problems.append(Problem(f"{place}.artifacts[{k}]", str(error)))
    for k, command in enumerate(task.validation_commands):
        if not command.strip() or "\0" in command:
            problems.append(Problem(f"{place}.validation_commands[{k}]", "is no command"))
        questions.append(ask.CommandSucceeds(command))
    return questions


def question_of(artifact: ArtifactCheck) -> Question:
    """Raises ValueError, in words, for an expected value that means nothing."""
    kind, value, path = artifact.check_type, artifact.expected_value, artifact.path
    if not path.strip() or "\0" in path or "\0" in value:
        raise ValueError("the path is empty" if not path.strip() else "a NUL byte is in no path and in no value")
    if not isinstance(kind, ProcessRunning | ServiceStatus) and not path.startswith("/"):
        raise ValueError(f"the path should be absolute, not {path!r}")
    if isinstance(kind, FileExists | ProcessRunning):
        if value not in _TRUTH:
            raise ValueError(f'should be "true" or "false", not {value!r}')
        wanted = _TRUTH[value]
        return ask.FileExists(path, wanted) if isinstance(kind, FileExists) else ask.ProcessRunning(path, wanted)
    if isinstance(kind, FileMode):
        return ask.FileMode(path, octal(value))
    if isinstance(kind, FileSize):
        return _size(path, kind, value)
    if isinstance(kind, FileContent):
        if not kind.regex:
            return ask.FileContent(path, value.encode(errors="surrogatepass"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a pattern that a later Python reads otherwise is not wrong now
                re.compile(value, re.MULTILINE)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"is no regular expression: {error}") from error
        return ask.FileMatches(path, value)
    return ask.ServiceStatus(path, service_states(path, value))


def octal(value: str) -> int:
    """ "0644", "644" and "0o644" are the same mode. Raises ValueError."""
    if not re.fullmatch(r"(0o)?[0-7]{3,5}", value) or int(value.removeprefix("0o"), 8) > 0o7777:
        raise ValueError(f'should be an octal mode such as "0644", not {value!r}')
    return int(value.removeprefix("0o"), 8)


def service_states(service: str, value: str) -> tuple[str, ...]:
    """The words of a comma-separated list, synonyms resolved. Raises ValueError."""
    words = [word.strip().lower() for word in value.split(",")]
    unknown = [word for word in words if word not in WORDS]
    if unknown:
        raise ValueError(f"should be one or more of {', '.join(sorted(WORDS))}, not {value!r}")
    if re.search(r"[*?\[\]]", service):
        raise ValueError(f"a service's name has no wildcard: {service!r}")
    return tuple(dict.fromkeys(WORDS[word] for word in words))


def _size(path: str, kind: FileSize, value: str) -> Question:
    if kind.min is not None or kind.max is not None:
        return ask.FileSize(path, kind.min, kind.max)
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError(f"should be a size in bytes (or give min or max), not {value!r}")
    return ask.FileSize(path, int(value), int(value))


class _Tasks:
    """Which tasks and handlers a plan has, and for whom. Without a plan every name is taken as it is."""

    def __init__(self, plan: Plan | None) -> None:
        self._plan = plan
        self._hosts: dict[str, set[str]] = {}
        self._names: dict[str, str] = {}
        for play in plan.plays if plan else ():
            for batch in play.batches:
                for task in batch.tasks:
                    self._hosts.setdefault(task.task_id, set()).update(task.hosts)
                    self._names[task.task_id] = task.name
            for handler in play.handlers:
                self._names[handler.handler_id] = handler.name

    def wrong(self, task: TaskExpectation, host: str) -> str | None:
        """Why nothing can be expected of this task on this host; that it is skipped there always can."""
        if self._plan is not None and task.task_id not in self._names:
            return f"the plan has no task {task.task_id!r}"
        if not self.is_for(task.task_id, host) and not isinstance(task.expected_result, ExpectSkip):
            return f"the task {task.task_id!r} is not for the host {host!r}"
        return None

    def is_for(self, task_id: str, host: str) -> bool:
        """A handler is for every host."""
        return task_id not in self._hosts or host in self._hosts[task_id]

    def name(self, task_id: str) -> str:
        return self._names.get(task_id, "")


@dataclass(frozen=True)
class _Result:
    whole: HostExecutionResult
    records: dict[str, TaskExecutionResult]


def _records(result: HostExecutionResult) -> dict[str, TaskExecutionResult]:
    """By task. Of several records (a handler of the same id in two plays) one that failed, else the last."""
    found: dict[str, TaskExecutionResult] = {}
    for record in result.task_results:
        known = found.get(record.task_id)
        if known is None or not isinstance(known.status, Failed):
            found[record.task_id] = record
    return found


def _says(wanted: str, text: str) -> bool:
    """`wanted` as a part of the text, else as a regular expression; an empty one fits everything."""
    if wanted in text:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.search(wanted, text, re.MULTILINE) is not None
    except (re.error, OverflowError, RecursionError):
        return False  # it was plain text


def _error(result: TaskExecutionResult) -> str:
    status = result.status
    parts = [status.error if isinstance(status, Failed) else "", result.output, result.stderr]
    return "\n".join(part for part in parts if part)


def _expected(wanted: TaskResult) -> str:
    if isinstance(wanted, ExpectFailure):
        return f"fails with {wanted.expected_error!r}" if wanted.expected_error else "fails"
    if isinstance(wanted, ExpectSkip):
        return f"is skipped with {wanted.reason!r}" if wanted.reason else "is skipped"
    return "succeeds"


def _actual(result: TaskExecutionResult) -> str:
    if isinstance(result.status, Failed):
        ignored = " (ignored)" if result.ignored else ""
        return f"failed{ignored}: {_error(result).strip()[:2000]}"
    if isinstance(result.status, Skipped):
        return f"skipped: {result.status.reason}"
    return "succeeded, " + ("changed" if result.changed else "nothing to change")


def _hint(wanted: TaskResult, result: TaskExecutionResult) -> str | None:
    if isinstance(wanted, ExpectFailure) and isinstance(result.status, Failed):
        return "it failed, with other words: expected_error is looked for as text, then as a regular expression"
    if isinstance(wanted, ExpectSkip) and isinstance(result.status, Skipped):
        return "it was skipped, with other words: reason is looked for as text, then as a regular expression"
    return None


def _known(hosts: Sequence[str]) -> str:
    return f"hosts: {', '.join(hosts)}" if hosts else "there are no hosts"
