"""What a person sees while a run goes on, and at its end.

On a terminal one live line per step (rich); in CI and pipes plain lines, one an event, with nothing imported
that the run itself does not need.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from harness.models.results import StepResult, TestReport
from harness.models.runner import TaskRecord
from harness.models.verification import VerifyOutcome
from harness.report.findings import Finding, findings, totals, verdict
from harness.report.heartbeat import Heartbeat
from harness.report.text import READABLE, plural, printable, seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner

_DETAIL_LINES = 12
_PROBLEM_LINES = 60
_STILL_SECONDS = 15.0
"""After which a step that still runs says so where no live line does."""
_RESULTS = {"passed": "green", "failed": "red", "error": "red", "skipped": "bright_black", "warning": "yellow"}
_COUNTED = ("changed", "ok", "failed", "ignored", "skipped")
"""How tasks end, in the order in which they are counted; `ignored` ones have failed, and it does not matter."""


class ConsoleObserver:
    """Writes what happens to `stream`; `verbosity` 0 shows steps, 1 tasks and hosts too, 2 their output.

    Thread-safe; never raises for a stream that has gone.
    """

    def __init__(self, stream: TextIO | None = None, *, verbosity: int = 0, live: bool | None = None) -> None:
        self._stream = stream or sys.stdout
        self._verbosity = verbosity
        self._lock = threading.RLock()
        self._steps: dict[str, _StepState] = {}
        wants_live = self._stream.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb"
        self._screen: _Plain | _Screen = (
            _Screen(self._stream) if (wants_live if live is None else live) else _Plain(self._stream)
        )

    def run_started(self, scenario: str, run: str, sequence: tuple[str, ...]) -> None:
        with self._lock, _gone_stream():
            self._screen.line([("bold", scenario), ("bright_black", f"  run {run}")])

    def step_started(self, scenario: str, step: str) -> None:
        with self._lock, _gone_stream():
            self._steps[scenario] = state = _StepState(step)
            self._screen.begin(step, state)
            if isinstance(self._screen, _Plain):
                state.heart = Heartbeat(_STILL_SECONDS, lambda: self._still(state))

    def _still(self, state: _StepState) -> None:
        with self._lock, suppress(OSError, ValueError):  # the stream has gone, or is closed
            if state.heart is not None and not state.heart.stopped:
                took = seconds(time.monotonic() - state.started)
                doing = state.summary() if state.tasks else state.doing
                self._screen.line([("", f"  {self._screen.marks['running']} {state.step:<12}  {doing}  {took}")])

    def host_event(self, scenario: str, step: str, host: str, message: str) -> None:
        with self._lock, _gone_stream():
            if state := self._steps.get(scenario):
                state.doing = f"{host}: {message}" if host else message
                if host:
                    state.hosts[host] = message
            if self._verbosity >= (1 if host else 2):  # a tool's own lines say once more what is told of the hosts
                self._screen.line([("", f"    {host}  "), ("bright_black", message)])

    def task_ended(self, scenario: str, host: str, record: TaskRecord) -> None:
        with self._lock, _gone_stream():
            if state := self._steps.get(scenario):
                state.take(host, record)
            if self._verbosity >= 1:
                self._screen.line(_task_line(host, record))
            if self._verbosity >= 2:
                for line in _tail(record.stdout + record.stderr):
                    self._screen.line([("bright_black", f"        {line}")])

    def verified(self, scenario: str, outcome: VerifyOutcome) -> None:
        with self._lock, _gone_stream():
            if state := self._steps.get(scenario):
                state.checks = outcome

    def warning(self, scenario: str, message: str) -> None:
        with self._lock, _gone_stream():
            self._screen.line([("yellow", "  ! "), ("", message.replace("\n", "\n    "))])

    def step_ended(self, scenario: str, result: StepResult) -> None:
        with self._lock, _gone_stream():
            state = self._steps.pop(scenario, None) or _StepState(result.step)
            state.stop()
            self._screen.end()
            if result.outcome == "skipped" and self._verbosity < 1:
                return
            style = _RESULTS[result.outcome]
            mark = self._screen.marks[result.outcome]
            summary = result.reason.partition("\n")[0] if result.reason else state.summary()
            self._screen.line(
                [
                    (style, f"  {mark} "),
                    ("bold" if result.outcome != "skipped" else "bright_black", f"{result.step:<12}"),
                    ("bright_black" if result.outcome == "skipped" else "", f"  {summary}" if summary else ""),
                    ("bright_black", f"  {seconds(result.duration)}" if result.outcome != "skipped" else ""),
                ]
            )

    def run_ended(self, scenario: str, report: TestReport) -> None:
        with self._lock, _gone_stream():
            self._screen.end()
            result = verdict(report)
            for finding in findings(report):
                self._finding(finding, result)
            took = (report.end_time - report.start_time).total_seconds()
            sums = totals(report)
            parts = [f"{seconds(took)}"]
            tasks = {name: getattr(sums, name) for name in _COUNTED}
            if any(tasks.values()):
                parts.append(_counts(**tasks))
            if sums.checks_passed or sums.checks_failed:
                parts.append(_counts("checks", passed=sums.checks_passed, failed=sums.checks_failed))
            self._screen.line(
                [(f"bold {_RESULTS[result]}", f"  {result.upper()}"), ("bright_black", "  " + " · ".join(parts))]
            )
            self._screen.line([])

    def close(self) -> None:
        """Give the terminal back; a second call does nothing."""
        with self._lock, _gone_stream():
            for state in self._steps.values():
                state.stop()
            self._screen.end()

    def _finding(self, finding: Finding, result: str) -> None:
        mark = "warning" if result == "warning" else "failed"
        where = f"{finding.where}: " if finding.where else ""
        self._screen.line([])
        first, *more = finding.message.splitlines() or [""]
        self._screen.line([(_RESULTS[mark], f"    {self._screen.marks[mark]} "), ("bold", where), ("", first)])
        for line in more:
            self._screen.line([("", f"      {line}")])
        for label, value in (("expected", finding.expected), ("actual", finding.actual)):
            if value is not None:
                for number, line in enumerate(_tail(value)):
                    self._screen.line([("bright_black", f"      {label if not number else '':<9} "), ("", line)])
        for line in _head(finding.detail) if finding.log else _tail(finding.detail):
            self._screen.line([("", f"      {line}")])
        if finding.hint:
            self._screen.line([("cyan", "      hint: "), ("", finding.hint)])
        if finding.log:
            self._screen.line([("bright_black", f"      log: {finding.log}")])


class _StepState:
    """What is known about a step while it runs."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.started = time.monotonic()
        self.tasks: Counter[str] = Counter()
        self._failed: set[tuple[str, str]] = set()
        self.hosts: dict[str, str] = {}
        self.checks: VerifyOutcome | None = None
        self.doing = ""
        self.heart: Heartbeat | None = None

    def stop(self) -> None:
        if self.heart is not None:
            self.heart.stop()

    def take(self, host: str, record: TaskRecord) -> None:
        self.hosts[host] = record.name or record.task_id
        task = (host, record.task_id)
        ignored = record.status == "failed" and record.ignored
        if ignored and task in self._failed:  # told once more: it was rescued
            self._failed.remove(task)
            self.tasks["failed"] -= 1
        elif record.status == "failed" and not ignored:
            self._failed.add(task)
        self.tasks["ignored" if ignored else record.status] += 1

    def summary(self) -> str:
        if self.checks is not None:
            broken = self.checks.failed + self.checks.errors
            return _counts("checks", passed=self.checks.passed, failed=broken, skipped=self.checks.skipped)
        names = ", ".join(sorted(self.hosts)) if len(self.hosts) <= 4 else plural(len(self.hosts), "platform")
        if self.tasks:
            counted = _counts(**{name: self.tasks[name] for name in _COUNTED})
            return f"{names}  {counted}"
        return names


class _Plain:
    """Lines without colours, flushed as they come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        encoding = (getattr(stream, "encoding", None) or "ascii").lower()
        self.marks = _marks("utf" in encoding)

    def line(self, parts: list[tuple[str, str]]) -> None:
        text = printable("".join(text for _, text in parts)).rstrip()
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, READABLE).decode(encoding) + "\n")
        self._stream.flush()

    def begin(self, step: str, state: _StepState) -> None: ...

    def end(self) -> None: ...


class _Screen:
    """Colours, and a live line for the step that runs."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console: Console = Console(file=stream, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._unicode = not self._console.options.ascii_only
        self.marks = _marks(self._unicode)

    def line(self, parts: list[tuple[str, str]]) -> None:
        from rich.text import Text

        self._console.print(Text.assemble(*[(printable(text), style) for style, text in parts]))

    def begin(self, step: str, state: _StepState) -> None:
        from rich.live import Live

        self.end()
        self._live = Live(
            _Progress(step, state, "dots" if self._unicode else "line"),
            console=self._console,
            refresh_per_second=12,
            transient=True,
        )
        self._live.start()

    def end(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()


class _Progress:
    """The live line; rich asks it for its text at each refresh."""

    def __init__(self, step: str, state: _StepState, spinner: str) -> None:
        from rich.spinner import Spinner

        self._spinner = Spinner(spinner, style="cyan")
        self._step = step
        self._state = state

    def __rich__(self) -> Spinner:
        from rich.text import Text

        took = time.monotonic() - self._state.started
        latest = list(self._state.hosts.items())[-1:]
        doing = "".join(f"{host}: {message}" if host else message for host, message in latest)[:70]
        self._spinner.text = Text.assemble(
            (f" {self._step:<12}", "bold"), f"  {self._state.summary() if self._state.tasks else doing}",
            (f"  {seconds(took)}", "bright_black"),
        )  # fmt: skip
        return self._spinner


def _marks(unicode: bool) -> dict[str, str]:
    if unicode:
        return {"passed": "✓", "failed": "✗", "error": "✗", "skipped": "-", "warning": "!", "running": "…"}
    return {"passed": "ok", "failed": "FAILED", "error": "ERROR", "skipped": "-", "warning": "!", "running": "..."}


def _counts(of: str = "", /, **numbers: int) -> str:
    """`8 changed, 2 ok`, `checks: 49 passed`."""
    told = ", ".join(f"{number} {name}" for name, number in numbers.items() if number) or "none"
    return f"{of}: {told}" if of else told


def _task_line(host: str, record: TaskRecord) -> list[tuple[str, str]]:
    style = {"changed": "yellow", "failed": "red", "skipped": "bright_black"}.get(record.status, "green")
    took = "" if record.status == "skipped" else f"  {seconds(record.duration)}"
    note = " (ignored)" if record.ignored else f" ({record.skip_reason})" if record.skip_reason else ""
    return [
        ("", f"    {host}  "),
        (style, f"{record.status:<8}"),
        ("", record.name or record.task_id),
        ("bright_black", note + took),
    ]


def _tail(text: str) -> list[str]:
    """The last lines, with a word about those left out."""
    lines = text.rstrip().splitlines()
    if len(lines) <= _DETAIL_LINES:
        return lines
    return [f"... {len(lines) - _DETAIL_LINES} lines above, see the log", *lines[-_DETAIL_LINES:]]


def _head(text: str) -> list[str]:
    """The first lines: a list of problems is read from its beginning, and wanted nearly whole."""
    lines = text.rstrip().splitlines()
    if len(lines) <= _PROBLEM_LINES:
        return lines
    return [*lines[:_PROBLEM_LINES], f"... {len(lines) - _PROBLEM_LINES} more lines, see the log"]


def _gone_stream() -> suppress:
    """A reader that has gone (`| head`) ends the telling, not the run: its clean-up must still happen."""
    return suppress(OSError)
