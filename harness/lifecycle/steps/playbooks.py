"""The steps of a scenario whose provisioner is Ansible: each is a playbook, as in Molecule."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import yaml

from harness.ansible.ephemeral import prepared_mark, settings_of
from harness.ansible.records import FACTS
from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped
from harness.lifecycle.playbooks import (
    DELEGATED,
    Played,
    judge_run,
    play,
    playbook_of,
    reached_hosts,
    write_folder,
)
from harness.lifecycle.steps.converge import judge, mark_converged
from harness.lifecycle.steps.faults import after_faults, disturbed
from harness.lifecycle.steps.scripts import prepare_by
from harness.lifecycle.steps.verify import verify as verify_by_testinfra
from harness.models.results import CheckResult, HostExecutionResult
from harness.models.runner import TaskRecord
from harness.models.verification import VerifyOutcome

_TOLD = 20
_WORK = ("roles", "pre_tasks", "tasks", "post_tasks")
"""What a play may be given to do."""

Step = Callable[[Context], str | None]


def step_of(context: Context, name: str) -> Step | None:
    """None where the step is the same whatever the provisioner."""
    if name in ("create", "destroy"):
        if context.scenario.driver != DELEGATED:
            return None
        from harness.lifecycle.steps import delegated

        return delegated.create if name == "create" else delegated.destroy
    if name == "verify" and context.scenario.verifier.name == "testinfra":
        return _verify_by_testinfra
    return _STEPS.get(name)


def syntax(context: Context) -> None:
    play(context, "syntax", _converge_playbook(context), arguments=["--syntax-check"], platforms=False)


def prepare(context: Context) -> str | None:
    if not context.fleet.specs:
        _prepare_unnamed(context)
        return None

    def run(playbook: Path) -> None:
        _simple(context, "prepare", [playbook])

    return prepare_by(context, playbook_of(context, "prepare"), run, ".yml")


def _prepare_unnamed(context: Context) -> None:
    """What the inventory knows and molecule.yml does not: no platform keeps in mind whether it is prepared."""
    playbook, mark = playbook_of(context, "prepare"), prepared_mark(context.scenario)
    if playbook is None:
        raise StepSkipped("the scenario has no prepare.yml")
    if mark.is_file() and not context.options.force:
        raise StepSkipped("it has been done since they were created (--force does it again)")
    _simple(context, "prepare", [playbook])
    mark.touch()


def converge(context: Context) -> None:
    playbook = _converge_playbook(context)
    for name in context.hosts:
        mark_converged(context, name, None, None)
    played = play(context, "converge", playbook)
    results = played.results()
    _remember(context, played, results)
    judge(results, context.scenario.verifier.expected_outcomes, tell_all=False)
    judge_run(played)
    if played.tasks == 0:
        if not _asks_for_nothing(playbook):
            context.ledger.nothing_ran = True
            raise StepFailed(
                f"{playbook.name} ran no task on any platform"
                "\nhint: see the `hosts:` of its plays against the platforms' groups, and its tags",
                outcome="failed",
            )
        context.warn(f"{playbook.name} has no task: nothing was done on any platform")
    digest = hashlib.sha256(playbook.read_bytes()).hexdigest()
    for name in context.hosts:
        mark_converged(context, name, context.run, digest)


def check(context: Context) -> None:
    _judge(context, play(context, "check", _converge_playbook(context), arguments=["--check"]))


def idempotence(context: Context) -> None:
    played = play(context, "idempotence", _converge_playbook(context))
    _judge(context, played)
    changed = [
        f"[{host}] => {record.name}"
        for host, records in played.records.items()
        for record in records
        if record.status == "changed"
    ]
    if changed:
        head = f"{len(changed)} task{'s' if len(changed) != 1 else ''} changed something the second time"
        more = [f"... and {len(changed) - _TOLD} more"] if len(changed) > _TOLD else []
        raise StepFailed("\n".join([head, *changed[:_TOLD], *more]), outcome="failed")


def side_effect(context: Context) -> None:
    _simple(context, "side_effect", _asked_for(context, "side_effect"))


def cleanup(context: Context) -> None:
    playbook = playbook_of(context, "cleanup")
    if playbook is None:
        raise StepSkipped("the scenario has no cleanup.yml")
    if context.fleet.specs and not context.hosts and not _unmanaged(context):
        raise StepSkipped("nothing exists")
    _simple(context, "cleanup", [playbook])


def _unmanaged(context: Context) -> bool:
    """Machines that are there before `create`, and have what an earlier run has left."""
    return context.scenario.driver == DELEGATED and not settings_of(context.scenario).managed


def verify(context: Context) -> None:
    """By playbooks: each task is a check, and an assertion that fails is a check that failed."""
    verifier = context.scenario.verifier
    if not verifier.enabled:
        raise StepSkipped("the scenario's verifier is not enabled")
    playbooks = _asked_for(context, "verify")
    played = [play(context, "verify", playbook, env=verifier.env) for playbook in playbooks]
    outcome = _verified([record for each in played for record in _with_host(each)])
    context.ledger.verification = outcome
    context.observer.verified(context.scenario.name, outcome)
    for each in played:
        judge({host: result for host, result in each.results().items() if result.error}, ())
        judge_run(each)
    if outcome.failed:
        raise StepFailed(f"{outcome.failed} of {outcome.tests_run} checks failed", outcome="failed")
    if outcome.tests_run == 0:
        names = ", ".join(playbook.name for playbook in playbooks)
        raise StepFailed(f"nothing was tested: {names} ran no task on any platform", outcome="failed")


def _verify_by_testinfra(context: Context) -> None:
    """Tests may read the inventory."""
    context.connections("verify")
    write_folder(context, reached_hosts(context, "verify"))
    verify_by_testinfra(context)


def _simple(context: Context, step: str, playbooks: Sequence[Path]) -> None:
    for playbook in playbooks:
        _judge(context, play(context, step, playbook))


def _judge(context: Context, played: Played) -> None:
    judge(played.results(), ())
    judge_run(played)


def _converge_playbook(context: Context) -> Path:
    playbook = playbook_of(context, "converge")
    if playbook is None:
        raise StepFailed(
            f"there is no converge.yml in {context.scenario.ref.directory}"
            "\nhint: write one, or name another with `provisioner.playbooks.converge`",
            outcome="error",
            stage="validate",
        )
    return playbook


def _asks_for_nothing(playbook: Path) -> bool:
    """Whether none of its plays has anything to do, as where a scenario is about creating platforms alone."""
    try:
        plays = yaml.safe_load(playbook.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):  # ValueError: not UTF-8; a tag of Ansible's own is YAMLError
        return False
    return all("hosts" in play and not any(play.get(key) for key in _WORK) for play in plays)


def _asked_for(context: Context, step: str) -> list[Path]:
    """The playbooks that the sequence names after the step, or else the step's own."""
    named = [context.scenario.ref.directory / name for name in context.step_arguments]
    missing = [str(path) for path in named if not path.is_file()]
    if missing:
        raise StepFailed(f"{step}: there is no file {', '.join(missing)}", outcome="error", stage="validate")
    if named:
        return named
    playbook = playbook_of(context, step)
    if playbook is None:
        raise StepSkipped(f"the scenario has no {step}.yml")
    return [playbook]


def _remember(context: Context, played: Played, results: Mapping[str, HostExecutionResult]) -> None:
    context.ledger.host_results.update(results)
    context.ledger.execution_time += played.run.ended - played.run.started
    for result in results.values():
        context.remember(partial(context.journal.save_result, context.run, result))
    for name in context.hosts:
        if name not in results:
            context.event("converge", name, "no play is for it")


def _with_host(played: Played) -> list[tuple[str, TaskRecord]]:
    return [
        (host, record)
        for host, records in played.records.items()
        for record in records
        if record.module not in FACTS or record.status == "failed"
    ]


def _verified(records: Sequence[tuple[str, TaskRecord]]) -> VerifyOutcome:
    suite = [_check(host, record) for host, record in records]
    failed = sum(1 for check in suite if check.outcome == "failed")
    skipped = sum(1 for check in suite if check.outcome == "skipped")
    return VerifyOutcome(
        tests_run=len(suite) - skipped,
        passed=len(suite) - skipped - failed,
        failed=failed,
        skipped=skipped,
        errors=0,
        suite=suite,
    )


def _check(host: str, record: TaskRecord) -> CheckResult:
    broken = record.status == "failed" and not record.ignored
    return CheckResult(
        check=f"{record.task_id}[{host}]",
        outcome="failed" if broken else "skipped" if record.status == "skipped" else "passed",
        message=record.msg if broken else "",
        duration=record.duration,
    )


_STEPS: Mapping[str, Step] = {
    "syntax": syntax,
    "prepare": prepare,
    "converge": disturbed(converge),
    "check": check,
    "idempotence": idempotence,
    "side_effect": after_faults(side_effect),
    "verify": verify,
    "cleanup": cleanup,
}
