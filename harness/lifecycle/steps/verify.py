"""Look at what the plan did: one pytest child process over all hosts."""

from __future__ import annotations

from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, StepSkipped
from harness.lifecycle.steps.converge import checked_plan
from harness.models.plan import Plan
from harness.models.results import HostExecutionResult
from harness.models.verification import VerifyHost, VerifyJob, VerifyOutcome


def verify(context: Context) -> None:
    from harness.verify import run_verify

    verifier = context.scenario.verifier
    if not verifier.enabled:
        raise StepSkipped("the scenario's verifier is not enabled")
    if verifier.name != "testinfra":
        raise StepFailed(
            f"the verifier {verifier.name} is not supported by this version\nhint: use `verifier: {{name: testinfra}}`",
            outcome="error",
        )
    context.connections("verify")
    job = _job(context)
    outcome = run_verify(
        job, workdir=context.folder, on_line=lambda line: context.event("verify", context.scenario.name, line)
    )
    context.ledger.verification = outcome
    context.observer.verified(context.scenario.name, outcome)
    _judge(outcome)


def _judge(outcome: VerifyOutcome) -> None:
    broken = outcome.failed + outcome.errors
    if broken:
        total = outcome.tests_run + outcome.errors
        raise StepFailed(f"{broken} of {total} checks failed", outcome="failed")
    if outcome.tests_run == 0:
        reason = f"all {outcome.skipped} were skipped" if outcome.skipped else "there are no tests"
        raise StepFailed(
            f"nothing was tested: {reason}\nhint: write tests into verifier.directory, name expected outcomes, "
            "or set verifier.derive_from_plan",
            outcome="failed",
        )


def _job(context: Context) -> VerifyJob:
    scenario = context.scenario
    verifier = scenario.verifier
    groups = scenario.groups()
    plan = _plan(context)
    return VerifyJob(
        scenario=scenario.name,
        hosts=[
            VerifyHost(
                platform=name,
                groups=[group for group, names in groups.items() if name in names],
                endpoint=member.endpoint,
                variables=scenario.provisioner.inventory.hosts_vars.get(name, {}),
            )
            for name in context.hosts
            if (member := context.fleet.members[name]).endpoint is not None
        ],
        directory=verifier.directory,
        additional=list(verifier.additional_files_or_dirs),
        expected=[outcome for outcome in verifier.expected_outcomes if outcome.host in context.hosts],
        plan=plan,
        derive_from_plan=verifier.derive_from_plan and context.ledger.expected_failure is None,
        host_results=_host_results(context),
        options=verifier.options,
        env=verifier.env,
        pytest_args=list(context.options.pytest_args),
        secrets=list(context.secrets.values()),
    )


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


def _host_results(context: Context) -> list[HostExecutionResult]:
    """Of the last converge: in this run, or as the journal has it."""
    found = []
    for name in context.hosts:
        result = context.ledger.host_results.get(name)
        by = context.fleet.members[name].converged_run
        if result is None and by is not None:
            result = context.journal.result(by, name)
        if result is not None:
            found.append(result)
    return found
