"""--require-markers: where a machine must be able to run some tests, skipping them is a failure. And which go first."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator

import pytest

OPTION = "--require-markers"
LONG = ("slow", "vm", "vagrant", "docker", "ansible")
"""Markers of what takes long."""


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several workers, one that takes up a long file last keeps the others waiting: those files begin."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if any(item.get_closest_marker(name) for name in LONG)}
        items.sort(key=lambda item: item.path not in long)


def pytest_configure(config: pytest.Config) -> None:
    required = [marker.strip() for marker in config.getoption(OPTION).split(",") if marker.strip()]
    # Workers of pytest-xdist report to the process that started them; only that one judges.
    if required and not hasattr(config, "workerinput"):
        config.pluginmanager.register(RequiredMarkers(required), "required-markers")


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
