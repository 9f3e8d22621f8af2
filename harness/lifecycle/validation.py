"""The report of a run, as specification 110 has it: what was asked for, what was done, and whether it is right."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime

from harness.drivers.base import PlatformSpec
from harness.lifecycle.context import Context
from harness.lifecycle.steps.performance import limits
from harness.models.config import (
    VM,
    BinaryOnly,
    DeploymentStrategy,
    Docker,
    E2ETestConfig,
    ForceSSH,
    Native,
    PerformanceThreshold,
    TargetPlatform,
)
from harness.models.results import (
    DeploymentValidationResult,
    ExecutionResult,
    Fail,
    Pass,
    PerformanceMetrics,
    PerformanceValidationResult,
    TestReport,
    ValidationReport,
    Warning,
)
from harness.models.scenario import Scenario

_MB = 1_000_000


def build_report(context: Context) -> TestReport:
    """Of everything in the context's ledger, as it stands."""
    ledger = context.ledger
    return TestReport(
        config=configuration(context.scenario),
        compilation_result=ledger.compilations[0] if ledger.compilations else None,
        execution_result=_execution(context),
        validation_report=_validation(context),
        start_time=ledger.started,
        end_time=datetime.now(UTC),
        compilation_results=ledger.compilations,
        scenario=context.scenario.name,
        run=context.run.value,
        verb=context.verb,
        steps=ledger.steps,
        snapshots=list(ledger.snapshots.values()),
        screens=dict(ledger.screens),
    )


def configuration(scenario: Scenario) -> E2ETestConfig:
    """The scenario as an E2ETestConfig."""
    return E2ETestConfig(
        test_name=scenario.name,
        execution_plan_path=str(scenario.provisioner.plan or ""),
        target_platforms=[_target_platform(platform) for platform in scenario.platforms],
        deployment_strategy=_strategy(scenario),
        expected_outcomes=list(scenario.verifier.expected_outcomes),
        timeout_seconds=round(scenario.timeout_seconds),
        use_containers=any(platform.driver == "docker" for platform in scenario.platforms),
    )


def _strategy(scenario: Scenario) -> DeploymentStrategy:
    """Specification 110 has no word for a playbook; by Ansible alone is what ForceSSH means."""
    return scenario.provisioner.strategy or (ForceSSH() if scenario.provisioner.name == "ansible" else BinaryOnly())


def _target_platform(platform: PlatformSpec) -> TargetPlatform:
    environment: Docker | VM | Native = Native()
    if platform.driver == "docker":
        environment = Docker(image=platform.image or "")
    elif platform.driver in ("libvirt", "vagrant"):
        environment = VM(image=platform.image or "")
    return TargetPlatform(arch=platform.arch or _own_arch(), os=platform.os, environment=environment)


def _own_arch() -> str:
    import platform

    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def _execution(context: Context) -> ExecutionResult | None:
    ledger = context.ledger
    if not ledger.host_results:
        return None
    passed = [one for one in ledger.passed if one is not None]
    if len(passed) < len(ledger.passed):
        passed = []
    return ExecutionResult(
        deployment_strategy_used=_strategy(context.scenario),
        execution_time=ledger.execution_time,
        host_results=list(ledger.host_results.values()),
        performance_metrics=PerformanceMetrics(
            total_execution_time=ledger.execution_time,
            ssh_baseline_time=statistics.median(ledger.measured.baseline) if ledger.measured.baseline else None,
            improvement_factor=statistics.median(ledger.factors) if ledger.factors else None,
            network_requests=sum(one.round_trips for one in passed) if passed else None,
            data_transferred=sum(one.sent + one.received for one in passed) if passed else None,
        ),
    )


def _validation(context: Context) -> ValidationReport:
    ledger = context.ledger
    performance, notes = _performance(context)
    deployment = _deployment(context)
    reasons = [f"{s.step}: {s.reason or s.outcome}" for s in ledger.steps if s.outcome in ("failed", "error")]
    reasons += performance.issues + deployment.issues
    if ledger.interrupted and not reasons:  # between two steps
        reasons.append("interrupted before the end")
    unchecked = list(ledger.verification.unchecked) if ledger.verification else []
    issues = [*ledger.warnings, *notes]
    if unchecked:
        issues.append(f"no check covers what the plan makes: {', '.join(unchecked)}")
    return ValidationReport(
        test_name=context.scenario.name,
        overall_result=Fail(reasons=reasons) if reasons else Warning(issues=issues) if issues else Pass(),
        task_validations=ledger.verification.task_validations if ledger.verification else [],
        performance_validation=performance,
        deployment_validation=deployment,
        suite=[*(ledger.verification.suite if ledger.verification else []), *ledger.conduct],
        unchecked=unchecked,
    )


def _performance(context: Context) -> tuple[PerformanceValidationResult, list[str]]:
    """The verdict, and what was asked for and could not be measured."""
    ledger = context.ledger
    times = [ledger.execution_time, *ledger.measured.runs] if ledger.host_results else []
    factor = statistics.median(ledger.factors) if ledger.factors else None
    sizes = [result.binary_size / _MB for result in ledger.compilations]
    issues: list[str] = []
    notes: list[str] = []
    for what, threshold, measured in limits(context):
        issues += _exceeded(what, threshold, measured, max(sizes, default=None))
        least = threshold.min_improvement_factor
        if least is not None and factor is None:
            why = ledger.no_baseline or "there is no baseline by Ansible over SSH in this run"
            notes.append(f"{what}: min_improvement_factor {least:g} is not measured: {why}")
        elif least is not None and factor is not None and factor < least:
            issues.append(f"{what} was {_times(ledger.factors)} faster than Ansible, less than {least:g} times")
    performance = PerformanceValidationResult(
        passed=not issues,
        issues=issues,
        measured_execution_time=min(times, default=None),
        measured_binary_size_mb=max(sizes, default=None),
        measured_improvement_factor=factor,
    )
    return performance, notes


def _times(factors: Sequence[float]) -> str:
    """`8.1 times`, or with several `8.1 times (median of 7.9, 8.1, 8.4)`."""
    told = f"{statistics.median(factors):.1f} times"
    return told if len(factors) == 1 else f"{told} (median of {', '.join(f'{one:.1f}' for one in sorted(factors))})"


def _exceeded(what: str, threshold: PerformanceThreshold, times: Sequence[float], size: float | None) -> list[str]:
    issues = []
    most = threshold.max_execution_time_seconds
    if most is not None and min(times) > most:
        told = f"{min(times):.3f} s" + (f" (the best of {len(times)} runs)" if len(times) > 1 else "")
        issues.append(f"{what} took {told}, more than max_execution_time_seconds {most:g}")
    if threshold.max_binary_size_mb is not None and size is not None and size > threshold.max_binary_size_mb:
        issues.append(
            f"{what}: the binary has {size:.2f} MB, more than max_binary_size_mb {threshold.max_binary_size_mb:g}"
        )
    return issues


def _deployment(context: Context) -> DeploymentValidationResult:
    methods = {host: result.deployment_method for host, result in context.ledger.host_results.items()}
    issues = [
        f"{outcome.host} was deployed by {methods[outcome.host]}, not by {outcome.expected_method} as expected"
        for outcome in context.scenario.verifier.expected_outcomes
        if outcome.expected_method and outcome.host in methods and methods[outcome.host] != outcome.expected_method
    ]
    return DeploymentValidationResult(passed=not issues, issues=issues, methods=methods)
