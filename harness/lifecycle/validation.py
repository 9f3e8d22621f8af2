"""The report of a run, as specification 110 has it: what was asked for, what was done, and whether it is right."""

from __future__ import annotations

from datetime import UTC, datetime

from harness.drivers.base import PlatformSpec
from harness.lifecycle.context import Context
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
        steps=ledger.steps,
        snapshots=list(ledger.snapshots.values()),
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
    return ExecutionResult(
        deployment_strategy_used=_strategy(context.scenario),
        execution_time=ledger.execution_time,
        host_results=list(ledger.host_results.values()),
        performance_metrics=PerformanceMetrics(
            total_execution_time=ledger.execution_time,
            network_requests=ledger.pushes,
            data_transferred=ledger.bytes_pushed,
        ),
    )


def _validation(context: Context) -> ValidationReport:
    ledger = context.ledger
    performance, notes = _performance(context)
    deployment = _deployment(context)
    reasons = [f"{s.step}: {s.reason or s.outcome}" for s in ledger.steps if s.outcome in ("failed", "error")]
    reasons += performance.issues + deployment.issues
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
        suite=ledger.verification.suite if ledger.verification else [],
        unchecked=unchecked,
    )


def _performance(context: Context) -> tuple[PerformanceValidationResult, list[str]]:
    """The verdict, and what was asked for and could not be measured."""
    ledger = context.ledger
    measured_time = ledger.execution_time if ledger.host_results else None
    sizes = [result.binary_size / _MB for result in ledger.compilations]
    issues: list[str] = []
    notes: list[str] = []
    limits = [("the run", context.scenario.performance, measured_time)]
    for outcome in context.scenario.verifier.expected_outcomes:
        result = ledger.host_results.get(outcome.host)
        if result is not None:
            limits.append((outcome.host, outcome.performance_threshold, result.execution_time))
    for what, threshold, time in limits:
        if threshold is not None and time is not None:
            issues += _exceeded(what, threshold, time, max(sizes, default=None))
            if threshold.min_improvement_factor is not None:
                notes.append(
                    f"{what}: min_improvement_factor {threshold.min_improvement_factor:g} is not measured: "
                    "there is no baseline by Ansible over SSH in this run"
                )
    performance = PerformanceValidationResult(
        passed=not issues,
        issues=issues,
        measured_execution_time=measured_time,
        measured_binary_size_mb=max(sizes, default=None),
    )
    return performance, notes


def _exceeded(what: str, threshold: PerformanceThreshold, time: float, size: float | None) -> list[str]:
    issues = []
    if threshold.max_execution_time_seconds is not None and time > threshold.max_execution_time_seconds:
        issues.append(
            f"{what} took {time:.3f} s, more than max_execution_time_seconds {threshold.max_execution_time_seconds:g}"
        )
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
