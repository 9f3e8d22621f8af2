"""Look at what the plan did: one pytest child process over all hosts."""

from __future__ import annotations

import shlex
from dataclasses import replace

from harness.deadline import Deadline
from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped, raise_defects
from harness.lifecycle.steps.converge import checked_plan, last_result
from harness.models.plan import Plan
from harness.models.verification import AnsibleFolders, VerifyHost, VerifyJob, VerifyOutcome
from harness.plan.slice import host_variables

_REASONS = 3
"""Reasons that are told of checks that were all skipped."""


def verify(context: Context) -> None:
    verifier = context.scenario.verifier
    if not verifier.enabled:
        raise StepSkipped("the scenario's verifier is not enabled")
    context.connections("verify")
    outcome = _run(context, job_of(context))
    context.ledger.verification = outcome
    context.observer.verified(context.scenario.name, outcome)
    _judge(context, outcome)


def _run(context: Context, job: VerifyJob) -> VerifyOutcome:
    """In a thread of its own, so that a signal is met at once; the child is stopped by the deadline or the call-off."""
    from harness.verify import child

    name = context.scenario.name

    def work(_: str) -> VerifyOutcome:
        return child.run_verify(
            job,
            workdir=context.folder,
            on_line=lambda line: context.log_line("verify", line),
            deadline=context.deadline,
            cancellation=context.cancellation,
            standby=context.standby,
        )

    # The child gets some seconds to end by itself, so that what it found so far is not lost.
    patient = replace(context, deadline=Deadline(context.deadline.remaining() + 15.0))
    outcome = patient.each([name], work)
    raise_defects(outcome)
    for error in outcome.failed.values():
        raise error
    return outcome.done[name]


def _judge(context: Context, outcome: VerifyOutcome) -> None:
    if outcome.interrupted and context.deadline.expired():
        raise StepFailed(
            f"not done after {context.deadline}: {outcome.tests_run} checks had ended by then"
            "\nhint: give it more time with scenario.timeout_seconds",
            outcome="error",
        )
    broken = outcome.failed + outcome.errors
    if broken:
        total = outcome.tests_run + outcome.errors
        raise StepFailed(f"{broken} of {total} checks failed", outcome="failed")
    if outcome.tests_run == 0:
        chosen = context.pytest_arguments
        reason = f"all {outcome.skipped} were skipped{_why(outcome)}" if outcome.skipped else "there are no tests"
        hint = "write tests into verifier.directory, name expected outcomes, or set verifier.derive_from_plan"
        if context.scenario.provisioner.plan is None:  # one of Molecule's
            hint = "write tests into verifier.directory"
        elif context.scenario.verifier.derive_from_plan and not outcome.skipped:
            reason = "there are no tests, and nothing that the plan did is sure to be there still"
            hint = "write tests into verifier.directory, or name expected outcomes (docs/verify.md)"
        if chosen and not outcome.skipped:
            reason = f"`{shlex.join(chosen)}` leaves no test and no check"
            hint = "it chooses among tests and checks alike; verify.log of a run without it has all their names"
        raise StepFailed(f"nothing was tested: {reason}\nhint: {hint}", outcome="failed")


def _why(outcome: VerifyOutcome) -> str:
    checks = [*outcome.suite, *(check for task in outcome.task_validations for check in task.checks)]
    reasons = dict.fromkeys(check.message for check in checks if check.outcome == "skipped" and check.message)
    return f" ({'; '.join(list(reasons)[:_REASONS])})" if reasons else ""


def job_of(context: Context) -> VerifyJob:
    """What is to be looked at, and by what."""
    scenario = context.scenario
    verifier = scenario.verifier
    groups = scenario.groups()
    plan = _plan(context)
    inventory = scenario.provisioner.inventory
    variables = host_variables(plan, inventory, groups) if plan else inventory.hosts_vars
    names = {*groups, *(platform.name for platform in scenario.platforms)}
    touched = {*context.hosts, *(group for group, members in groups.items() if set(members) & set(context.hosts))}
    return VerifyJob(
        scenario=scenario.name,
        hosts=[
            VerifyHost(
                platform=name,
                groups=[group for group, names in groups.items() if name in names],
                endpoint=member.endpoint,
                variables=variables.get(name, {}),
            )
            for name in context.hosts
            if (member := context.fleet.members[name]).endpoint is not None
        ],
        directory=verifier.directory,
        additional=list(verifier.additional_files_or_dirs),
        expected=[outcome for outcome in verifier.expected_outcomes if outcome.host in context.hosts],
        plan=plan,
        derive_from_plan=verifier.derive_from_plan and context.ledger.expected_failure is None,
        host_results=[result for name in context.hosts if (result := last_result(context, name)) is not None],
        options=verifier.options,
        env={**_molecules(context), **verifier.env},
        pytest_args=list(context.pytest_arguments),
        secrets=list(context.secrets.values()),
        left_out=sorted(names - touched),
        ansible=_folders(context),
        cwd=scenario.ref.directory,
    )


def _folders(context: Context) -> AnsibleFolders | None:
    """Where the step has written the inventory, for tests that ask Ansible."""
    if context.scenario.provisioner.ansible is None:
        return None
    from harness.ansible.ephemeral import inventory_folder

    return AnsibleFolders(inventory=inventory_folder(context.scenario))


def _molecules(context: Context) -> dict[str, str]:
    """The environment that playbooks have, as Molecule gives it to tests."""
    settings = context.scenario.provisioner.ansible
    if settings is None:
        return {}
    from harness.ansible.project import environment_of

    return {**environment_of(context.scenario), "ANSIBLE_CONFIG": str(settings.ephemeral / "ansible.cfg")}


def _plan(context: Context) -> Plan | None:
    if not context.scenario.provisioner.validate_plan:
        return None
    try:
        checked = checked_plan(context)
    except StepSkipped:
        return None
    stale = [name for name in context.hosts if context.fleet.members[name].converged_plan not in (None, checked.digest)]
    if stale:
        context.warn(f"the plan has changed since {', '.join(stale)} converged (harness converge runs it again)")
    return checked.plan
