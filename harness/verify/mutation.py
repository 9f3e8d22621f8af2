"""The mutation check: every expected value, changed, must make its check fail. That is what "no false pass" means.

Each mutant holds one expectation with one value changed; all of them are judged against hosts that meet
the unchanged expectations. A mutant that passes names a check that looks at nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.models.config import (
    ArtifactCheck,
    ExpectedOutcome,
    ExpectFailure,
    ExpectSkip,
    ExpectSuccess,
    FileContent,
    FileExists,
    FileSize,
    ProcessRunning,
    ServiceStatus,
    TaskExpectation,
    TaskResult,
)
from harness.models.config import FileMode as FileModeCheck
from harness.models.verification import VerifyJob

_NEVER = "a-word-that-no-host-says-4f1d"
_OTHER_STATE = {
    "running": "stopped",
    "stopped": "running",
    "failed": "running",
    "enabled": "disabled",
    "disabled": "enabled",
    "masked": "enabled",
    "static": "enabled",
    "not-found": "running",
}


@dataclass(frozen=True)
class Mutant:
    """`what` says which value was changed, and to what."""

    what: str
    outcome: ExpectedOutcome


def mutants(expected: Sequence[ExpectedOutcome]) -> Iterator[Mutant]:
    """One for each value of each expectation: results, modes, contents, sizes, states, existence, commands."""
    for outcome in expected:
        for task in outcome.tasks:
            place = f"{outcome.host}::{task.task_id}"
            for result in _results(task.expected_result):
                changed = TaskExpectation(task_id=task.task_id, expected_result=result)
                yield Mutant(f"{place}: {task.expected_result!r} -> {result!r}", _only(outcome, changed))
            for check in task.artifacts:
                for artifact in _artifacts(check):
                    changed = _bare(task).model_copy(update={"artifacts": [artifact]})
                    what = f"{place}: {check.check_type.tag}[{check.path}] {_value(check)} -> {_value(artifact)}"
                    yield Mutant(what, _only(outcome, changed))
            for command in task.validation_commands:
                changed = _bare(task).model_copy(update={"validation_commands": [f"! {{ {command}\n}}"]})
                yield Mutant(f"{place}: not ({command})", _only(outcome, changed))
        if outcome.expected_method:
            other = outcome.model_copy(update={"tasks": [], "expected_method": _NEVER})
            yield Mutant(f"{outcome.host}: expected_method {outcome.expected_method}", other)


def survivors(job: VerifyJob, *, workdir: Path) -> tuple[list[str], int]:
    """Judge the job's expectations and all their mutants in one pytest run: what is wrong, and how many mutants.

    Wrong is a mutant that does not fail, and an expectation that does not pass unchanged (its mutants would prove
    nothing). Raises what `run_verify` raises."""
    from harness.verify.child import run_verify

    made = list(mutants(job.expected))
    unchanged = [Mutant("", outcome) for outcome in job.expected]
    outcome = run_verify(
        job.model_copy(
            update={
                "expected": [mutant.outcome for mutant in (*unchanged, *made)],
                "derive_from_plan": False,
                "directory": workdir / "no-tests",
                "additional": [],
                "pytest_args": ["-q", "--no-summary"],
            }
        ),
        workdir=workdir,
    )
    wrong = _judge(job, [*unchanged, *made], workdir)
    if outcome.errors:
        wrong.append(f"{outcome.errors} checks ended in an error")
    return wrong, len(made)


def _judge(job: VerifyJob, cases: list[Mutant], workdir: Path) -> list[str]:
    """Items come by host, and for each in the order of its cases. A mutant's last item is the one that was changed;
    before it may stand its task's own result."""
    from harness.verify.findings import read_records

    items = iter([item for item in read_records(workdir) if item["type"] == "item" and item["id"] != "pytest"])
    order = {host.platform: place for place, host in enumerate(job.hosts)}
    wrong = []
    for case in sorted(cases, key=lambda case: order[case.outcome.host]):
        found = [next(items) for _ in range(_count(case.outcome))]
        if case.what:
            if found[-1]["outcome"] != "failed":
                wrong.append(f"{case.what} ({found[-1]['outcome']})")
        else:
            wrong += [
                f"unchanged: {i['id']} ({i['outcome']}): {i['message']}" for i in found if i["outcome"] != "passed"
            ]
    return wrong


def _count(outcome: ExpectedOutcome) -> int:
    checks = sum(1 + len(task.artifacts) + len(task.validation_commands) for task in outcome.tasks)
    return checks + (1 if outcome.expected_method else 0)


def _bare(task: TaskExpectation) -> TaskExpectation:
    return TaskExpectation(task_id=task.task_id, expected_result=task.expected_result)


def _only(outcome: ExpectedOutcome, task: TaskExpectation) -> ExpectedOutcome:
    return ExpectedOutcome(host=outcome.host, tasks=[task])


def _results(result: TaskResult) -> list[TaskResult]:
    if isinstance(result, ExpectFailure):
        return [ExpectSuccess(), ExpectSkip(reason=""), ExpectFailure(expected_error=_NEVER)]
    if isinstance(result, ExpectSkip):
        return [ExpectSuccess(), ExpectFailure(expected_error=""), ExpectSkip(reason=_NEVER)]
    return [ExpectFailure(expected_error=""), ExpectSkip(reason="")]


def _artifacts(check: ArtifactCheck) -> list[ArtifactCheck]:
    kind, value = check.check_type, check.expected_value
    if isinstance(kind, FileExists | ProcessRunning):
        return [_valued(check, "false" if value == "true" else "true")]
    if isinstance(kind, FileModeCheck):
        # Each bit for itself: a comparison that forgets one would be seen.
        mode = int(value.removeprefix("0o"), 8)
        return [_valued(check, f"{mode ^ bit:04o}") for bit in (0o1, 0o10, 0o100, 0o200, 0o1000, 0o2000, 0o4000)]
    if isinstance(kind, FileContent):
        if kind.regex:
            return [_valued(check, f"(?:{value}){_NEVER}")]
        shorter = [_valued(check, value[:-1])] if value else []
        return [_valued(check, value + "x"), _valued(check, value + "\n"), *shorter]
    if isinstance(kind, FileSize):
        return _sizes(check, kind, value)
    assert isinstance(kind, ServiceStatus)
    words = [word.strip().lower() for word in value.split(",")]
    return [
        _valued(check, ",".join([*words[:i], _OTHER_STATE[_meaning(word)], *words[i + 1 :]]))
        for i, word in enumerate(words)
    ]


def _meaning(word: str) -> str:
    from harness.verify.services import WORDS

    return WORDS[word]


def _sizes(check: ArtifactCheck, kind: FileSize, value: str) -> list[ArtifactCheck]:
    """A bound is turned round: at least 5 becomes at most 4."""
    if kind.min is None and kind.max is None:
        size = int(value)
        return [_valued(check, str(size + 1)), *([_valued(check, str(size - 1))] if size else [])]
    changed = []
    if kind.min:
        changed.append(FileSize(min=None, max=kind.min - 1))
    if kind.max is not None:
        changed.append(FileSize(min=kind.max + 1, max=None))
    return [check.model_copy(update={"check_type": size}) for size in changed]


def _valued(check: ArtifactCheck, value: str) -> ArtifactCheck:
    return check.model_copy(update={"expected_value": value})


def _value(check: ArtifactCheck) -> str:
    if isinstance(check.check_type, FileSize) and (check.check_type.min, check.check_type.max) != (None, None):
        return f"{check.check_type.min}..{check.check_type.max}"
    return repr(check.expected_value[:60])
