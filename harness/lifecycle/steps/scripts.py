"""Prepare, side effect and cleanup: each a plan, or a shell script that is run on every platform."""

from __future__ import annotations

import secrets as tokens
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from harness.connections.base import Completed, Connection
from harness.errors import CommandTimedOut, HarnessError, TransportFailed
from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped, describe_all, raise_defects
from harness.lifecycle.plans import read_checked
from harness.lifecycle.snapshots import publish
from harness.lifecycle.steps.converge import execute, judge
from harness.lifecycle.steps.create import mark_prepared
from harness.models.scenario import CompilerChoice
from harness.report.text import age

_SHOWN = 2000
"""Characters of a script's output in the reason; the log has all."""


def prepare(context: Context) -> str | None:
    return prepare_by(context, context.scenario.provisioner.prepare, partial(_run, context, step="prepare"), " file")


def prepare_by(context: Context, file: Path | None, run: Callable[[Path], None], called: str) -> str | None:
    """Unless it is done: `run` the file, and go on from a snapshot of what it made. `called` is for messages."""
    if file is None:
        for name in context.hosts:
            mark_prepared(context, name)
        raise StepSkipped(f"the scenario has no prepare{called}")
    if told := _prepared_already(context):
        return told
    before = publish.before_prepare(context)
    run(file)
    publish.publish(context, before)
    for name in context.hosts:
        mark_prepared(context, name)
    return None


def _prepared_already(context: Context) -> str | None:
    """By which snapshot the platforms came up prepared. Raises StepSkipped where they were prepared before."""
    planned = context.ledger.planned
    if planned is not None and planned.found is not None:
        return f"from snapshot {planned.short}, made {age(time.time() - planned.found.created)} ago"
    if not context.options.force and all(context.fleet.members[name].prepared for name in context.hosts):
        raise StepSkipped("it has been done since they were created (--force does it again)")
    return None


def side_effect(context: Context) -> None:
    file = context.scenario.provisioner.side_effect
    if file is None:
        raise StepSkipped("the scenario has no side effect")
    _run(context, file, "side_effect")


def cleanup(context: Context) -> None:
    file = context.scenario.provisioner.cleanup
    if file is None:
        raise StepSkipped("the scenario has no cleanup file")
    if not context.hosts:
        raise StepSkipped("nothing exists")
    _run(context, file, "cleanup")


def _run(context: Context, file: Path, step: str) -> None:
    if file.suffix == ".json":
        if file not in context.plans:
            # Whatever compiles the plan under test, these are run by the reference runner.
            context.plans[file] = read_checked(context.scenario, file, compiler=CompilerChoice())
        judge(execute(context, context.plans[file], step=step), ())
    else:
        _run_script(context, file, step)


def _run_script(context: Context, file: Path, step: str) -> None:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise StepFailed(f"cannot read {file}: {error.strerror or error}", outcome="error") from error
    connections = context.connections(step)

    def work(host: str) -> Completed:
        context.event(step, host, f"running {file.name}")
        return _run_on(context, connections[host], file.name, text)

    outcome = context.each(context.hosts, work)
    raise_defects(outcome)
    problems: dict[str, BaseException] = dict(outcome.failed)
    for host, completed in outcome.done.items():
        if not completed.ok:
            said = context.mask.text((completed.out + completed.err).strip()[-_SHOWN:])
            problems[host] = HarnessError(f"{file.name} ended with exit status {completed.rc}\n{said}".rstrip())
    if problems:
        transport = any(isinstance(error, TransportFailed | CommandTimedOut) for error in problems.values())
        raise StepFailed(describe_all(problems), outcome="error" if transport else "failed")


def _run_on(context: Context, connection: Connection, name: str, text: bytes) -> Completed:
    """The script as a file (its own shebang counts), with the platform's name as its argument."""
    folder = f"/tmp/harness-{tokens.token_hex(8)}"
    provisioner = context.scenario.provisioner
    connection.run(["mkdir", "-m", "700", folder], timeout=context.deadline.remaining())
    try:
        connection.push(text, f"{folder}/{name}", mode=0o700)
        shell = [] if text.startswith(b"#!") else ["/bin/sh"]
        return connection.run(
            [*shell, f"{folder}/{name}"], env=provisioner.env or None, timeout=max(0.1, context.deadline.remaining())
        )
    finally:
        with suppress(HarnessError):
            connection.run(["rm", "-rf", folder], timeout=30.0)
