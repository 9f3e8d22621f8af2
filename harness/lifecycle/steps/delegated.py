"""Platforms of the driver `default`: create.yml makes them, destroy.yml removes them."""

from __future__ import annotations

import fnmatch
from contextlib import suppress
from pathlib import Path

from harness.ansible.ephemeral import created_mark, settings_of
from harness.errors import HarnessError
from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped
from harness.lifecycle.playbooks import DELEGATED, judge_run, play, playbook_of, write_folder
from harness.lifecycle.sequence import TRANSIENT
from harness.lifecycle.steps.converge import judge


def create(context: Context) -> None:
    missing = context.fleet.missing
    if not missing and (context.hosts or created_mark(context.scenario).is_file()):
        raise StepSkipped("they exist already")
    # Noted first, so that whatever ends create.yml half-way, destroy.yml is run.
    context.fleet.create(DELEGATED, missing)
    try:
        _play(context, "create")
        write_folder(context)
        if not context.fleet.specs:
            created_mark(context.scenario).touch()
    except BaseException:
        if context.verb not in TRANSIENT:
            with suppress(StepFailed, StepSkipped, HarnessError):
                destroy(context)
        raise


def destroy(context: Context) -> None:
    """Whatever is known of them: only destroy.yml knows what there may be."""
    settings = settings_of(context.scenario)
    if settings.managed and playbook_of(context, "destroy") is None and not context.hosts:
        _prune(settings.ephemeral, settings.safe_files)
        raise StepSkipped("nothing exists")
    _play(context, "destroy")
    for name in context.hosts:
        context.fleet.destroy(name)
    for row in context.journal.instances(context.scenario.name):
        if row.driver == DELEGATED:
            context.journal.destroyed(row.run, row.scenario, row.platform)
    _prune(settings.ephemeral, settings.safe_files)


def _play(context: Context, step: str) -> None:
    """Also of platforms that are not managed, as Molecule does: a playbook that was written is meant."""
    playbook = playbook_of(context, step)
    if playbook is None and not settings_of(context.scenario).managed:
        context.event(step, "", "the platforms are not managed: nothing is to be done")
        return
    if playbook is None:
        context.note(f"there is no {step}.yml: the platforms are taken as they are")
        return
    played = play(context, step, playbook, platforms=False)
    try:
        judge(played.results(), ())
    except StepFailed as failure:
        raise StepFailed(f"{playbook.name}: {failure.reason}", outcome="error") from failure
    judge_run(played)


def _prune(folder: Path, safe_files: tuple[str, ...]) -> None:
    """As Molecule does after destroy: what create.yml wrote of machines that are gone."""
    for path in sorted(folder.rglob("*"), reverse=True) if folder.is_dir() else ():
        if any(fnmatch.fnmatch(str(path), pattern) for pattern in safe_files):
            continue
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
