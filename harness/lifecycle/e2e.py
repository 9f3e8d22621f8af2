"""Specification 110's E2ETestRunner: a run in one's own hands, stage by stage. Its async methods are plain here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from harness.errors import HarnessError, UsageError
from harness.lifecycle.binaries import Binaries
from harness.lifecycle.compilation import compile_plan
from harness.lifecycle.context import Context, RunOptions
from harness.lifecycle.deployment import run_plan
from harness.lifecycle.events import Observer, Silent
from harness.lifecycle.failures import StepFailed, StepSkipped
from harness.lifecycle.plans import run_arguments
from harness.lifecycle.run import new_run, perform
from harness.lifecycle.steps.converge import checked_plan
from harness.lifecycle.steps.create import create, destroy
from harness.lifecycle.steps.verify import verify
from harness.lifecycle.validation import build_report
from harness.models.config import E2ETestConfig
from harness.models.results import CompilationResult, ExecutionResult, TestReport, ValidationReport
from harness.models.scenario import Scenario

T = TypeVar("T")


class E2ETestRunner:
    """Runs one E2ETestConfig; `execution_plan_path` is taken from the current folder.

    Use it as a context manager, or call `cleanup`: until then its platforms exist. Every method raises HarnessError
    for what keeps it from doing its part; what is tested and fails is in what it returns.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    def __init__(
        self, config: E2ETestConfig, *, observer: Observer | None = None, options: RunOptions | None = None
    ) -> None:
        self.config = config
        self._observer = observer or Silent()
        self._options = options or RunOptions()
        self._stack = ExitStack()
        self._scenario: Scenario | None = None
        self._context: Context | None = None
        self._binaries: Binaries | None = None

    def setup_test_environment(self) -> None:
        """Check the plan and create the platforms."""
        run = new_run(self._loaded(), "test", self._options, self._observer)
        self._context, _ = self._stack.enter_context(run.opened())
        self._stack.callback(_quietly, destroy, self._context)
        _do(checked_plan, self._context)
        _do(create, self._context)

    def compile_execution_plan(self) -> CompilationResult:
        """Compile for every target among the platforms; the first one's result is returned."""
        context = self._ready()
        self._binaries = _do(_compiled, context)
        seen = {result.sha256: result for result in self._binaries.of_host.values()}
        context.ledger.compilations = list(seen.values())
        if not seen:
            if self._binaries.decisions:
                raise HarnessError(
                    "no host gets a binary, so there is nothing to compile", hint="run_full_test takes every strategy"
                )
            raise HarnessError("the plan has no task for any platform, so there is nothing to compile")
        return context.ledger.compilations[0]

    def deploy_and_execute(self, result: CompilationResult) -> ExecutionResult:
        """Push and run what was compiled; `result` is what `compile_execution_plan` returned."""
        context = self._ready()
        if self._binaries is None or result not in context.ledger.compilations:
            raise UsageError(
                "this is no result of compile_execution_plan", hint="compile first, and hand its result on"
            )
        binaries = self._binaries
        connections = _do(lambda it: it.connections("converge"), context)
        arguments = run_arguments(_do(checked_plan, context))
        _do(lambda it: run_plan(it, binaries, connections, step="converge", arguments=arguments), context)
        execution = build_report(context).execution_result
        assert execution is not None
        return execution

    def validate_outcomes(self, result: ExecutionResult) -> ValidationReport:
        """Verify the platforms as they are; `result` is what was executed on them."""
        context = self._ready()
        context.ledger.host_results = {host.host: host for host in result.host_results}
        try:
            verify(context)
        except (StepFailed, StepSkipped) as failure:
            # Checks that failed are in the report; without a report there was no verification.
            if context.ledger.verification is None:
                raise HarnessError(failure.reason) from failure
        return build_report(context).validation_report

    def cleanup(self) -> None:
        """Destroy the platforms; a second call does nothing. Raises HarnessError with what could not be destroyed."""
        context, self._context = self._context, None
        try:
            if context is not None and context.hosts:
                _do(destroy, context)
        finally:
            self._scenario = self._binaries = None
            self._stack.close()

    def run_full_test(self) -> TestReport:
        """All of it, cleanup included; the logs that the report names go with it."""
        try:
            return perform(self._loaded(), "test", self._options, self._observer).report
        finally:
            self.cleanup()

    def _loaded(self) -> Scenario:
        from harness.scenario import load_settings, scenario_from_config

        if self._scenario is None:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-e2e-")))
            plan = Path(self.config.execution_plan_path).absolute()
            config = self.config.model_copy(update={"execution_plan_path": str(plan)})
            path = folder / "config.json"
            path.write_text(config.model_dump_json(by_alias=True), encoding="utf-8")
            self._scenario = scenario_from_config(path, load_settings(Path.cwd()))
        return self._scenario

    def _ready(self) -> Context:
        if self._context is None:
            raise UsageError("there is no test environment", hint="call setup_test_environment first")
        return self._context

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()


def _compiled(context: Context) -> Binaries:
    return compile_plan(context, checked_plan(context), context.connections("converge"), step="converge")


def _do(stage: Callable[[Context], T], context: Context) -> T:
    """A step's own exceptions as errors that a caller of this class knows."""
    try:
        return stage(context)
    except (StepFailed, StepSkipped) as failure:
        raise HarnessError(failure.reason) from failure


def _quietly(stage: Callable[[Context], None], context: Context) -> None:
    try:
        stage(context)
    except (StepFailed, StepSkipped, HarnessError):
        return
