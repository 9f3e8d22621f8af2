"""`verifier.checks`: which checks of a run's conduct are made."""

from __future__ import annotations

from collections.abc import Callable, Collection

from harness.errors import UsageError
from harness.models.problems import Keys
from harness.models.scenario import ConductChecks
from harness.scenario.file import ChecksSection
from harness.verify.conduct.catalogue import chosen


def read_checks(section: ChecksSection, problem: Callable[[Keys, str], None]) -> ConductChecks:
    """`problem` is told of each word that means nothing."""

    def ids(key: str, words: Collection[str]) -> frozenset[str]:
        try:
            return chosen(words)
        except UsageError as error:
            problem(("verifier", "checks", key), f"{error.message} ({error.hint})")
            return frozenset()

    return ConductChecks(
        wanted=ids("level", section.level) - ids("without", section.without),
        touches={task: tuple(patterns) for task, patterns in section.touches.items()},
        allowed=dict(section.allowed),
    )
