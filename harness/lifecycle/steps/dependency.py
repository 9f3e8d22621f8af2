"""Dependency: the roles and collections that the scenario's playbooks need."""

from __future__ import annotations

import sys

from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepSkipped


def dependency(context: Context) -> None:
    settings = context.scenario.provisioner.ansible
    if settings is None:
        raise StepSkipped("a binary needs no roles or collections")
    done = _fetch(context)
    if not done:
        why = "nothing is asked for" if settings.dependency.enabled else "`dependency.enabled` is false"
        raise StepSkipped(why)
    for line in done:
        context.event("dependency", "", line)


def _fetch(context: Context) -> list[str]:
    if sys.platform == "win32":
        raise StepSkipped("Ansible does not run on Windows")
    else:  # noqa: RET506 (mypy looks at no branch of another system)
        from harness.ansible.dependency import Errand, fetch

        errand = Errand(context.deadline, context.cancellation, lambda line: context.log_line("dependency", line))
        return fetch(context.scenario, errand, force=context.options.force)
