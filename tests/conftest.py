"""For all tests: which go first, which must not be skipped, what each marker takes, and that no zombie is left."""

from __future__ import annotations

import gc
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import suppress

import psutil
import pytest

from tests.waiting import wait_for

OPTION = "--require-markers"
LONG = ("slow", "vm", "vagrant", "docker", "ansible")
"""Markers of what takes long."""
DEPLOYMENT_MARKERS = ("ssh", "ansible")
DEPLOYMENT_FOLDERS = ("ansible", "deploy", "faults", "measure")
"""Tests with one of those markers or in one of these folders are marked `deployment`, too."""


@pytest.fixture(scope="module", autouse=True)
def _no_zombies() -> Generator[None]:
    """A child that nobody waits for stays as long as this process, for every later test to meet."""
    before = _zombies()
    yield
    wait_for(lambda: _zombies() <= before, 10)


def _zombies() -> set[psutil.Process]:
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_ZOMBIE:
                found.add(child)
    return found


@pytest.fixture(scope="module")
def cut_connections() -> Generator[None]:
    """For modules that cut connections: what asyncio then forgets to close is collected here, not in a later test."""
    yield
    gc.collect()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION,
        default="",
        metavar="A,B",
        help="fail when a test with one of these markers was skipped, or when there was none",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before `-m` selects. A long file that a worker takes up last keeps the others waiting: those files begin."""
    for item in items:
        if item.path.parent.name in DEPLOYMENT_FOLDERS or _has(item, DEPLOYMENT_MARKERS):
            item.add_marker("deployment")
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if _has(item, LONG)}
        items.sort(key=lambda item: item.path not in long)


def _has(item: pytest.Item, names: tuple[str, ...]) -> bool:
    return any(item.get_closest_marker(name) for name in names)


def pytest_configure(config: pytest.Config) -> None:
    if sys.platform != "win32":  # a shell's background job ignores them, and so would all that tests start
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, usual)
    required = [marker.strip() for marker in config.getoption(OPTION).split(",") if marker.strip()]
    # Workers of pytest-xdist report to the process that started them; only that one judges.
    if hasattr(config, "workerinput"):
        return
    if required:
        config.pluginmanager.register(RequiredMarkers(required), "required-markers")
    if config.getoption("durations") is not None:
        names = [line.partition(":")[0] for line in config.getini("markers")]
        config.pluginmanager.register(Durations(names), "durations-by-marker")


class Durations:
    """What the tests of each marker took together: printed where pytest's own `--durations` is asked for."""

    def __init__(self, markers: list[str]) -> None:
        self.markers = markers
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for marker in self.markers:
            if marker in report.keywords:
                self.seconds[marker] += report.duration
        self.seconds["all tests"] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("durations by marker, the workers' added up")
        for name, seconds in sorted(self.seconds.items(), key=lambda one: -one[1]):
            terminalreporter.line(f"{seconds:.2f}s {name}")


class RequiredMarkers:
    """Counts what ran and remembers what was skipped, by marker."""

    def __init__(self, required: list[str]) -> None:
        self.required = required
        self.ran: Counter[str] = Counter()
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for marker in self.required:
            if marker not in report.keywords:
                continue
            if report.skipped and not hasattr(report, "wasxfail"):
                self.skipped.append(f"{report.nodeid} (marker {marker}): {_reason(report)}")
            elif report.when == "call":
                self.ran[marker] += 1

    def complaints(self) -> list[str]:
        never = [f"no test with the marker {marker} ran" for marker in self.required if not self.ran[marker]]
        return [*self.skipped, *never]

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        # Before the terminal's own hook, which closes with a summary in the colour of the exit status.
        if self.complaints() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.complaints():
            terminalreporter.section(f"{OPTION}: skipped where it must run", red=True, bold=True)
            for complaint in self.complaints():
                terminalreporter.line(complaint)


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
