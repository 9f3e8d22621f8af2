"""How a verb ends: its exit status."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    PASSED = 0
    FAILED = 1
    ERROR = 2
    NOTHING_TESTED = 3
    ALL_SKIPPED = 4
    INTERRUPTED = 130

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


GRAVEST_FIRST = (Exit.INTERRUPTED, Exit.ERROR, Exit.FAILED, Exit.NOTHING_TESTED, Exit.PASSED)
"""Of several scenarios the first of these that one of them ended with counts."""
