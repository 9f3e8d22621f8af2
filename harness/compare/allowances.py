"""The scenario's allow-list: which differences it takes in, and which entries took in none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from harness.models.compare import Difference
from harness.models.scenario import Allowance


@dataclass
class AllowList:
    """`entries` of one scenario, over all of its comparisons."""

    entries: Sequence[Allowance]
    _asked: set[int] = field(default_factory=set)
    _used: set[int] = field(default_factory=set)

    def find(self, difference: Difference, sides: Iterable[str]) -> Allowance | None:
        """The first entry that takes it in; every one that does counts as used."""
        names = set(sides)
        found: Allowance | None = None
        for number, entry in enumerate(self.entries):
            if _takes_in(entry, difference, names):
                self._used.add(number)
                found = found or entry
        return found

    def compared(self, sides: Iterable[str]) -> None:
        """Two sides have been compared: entries that speak of them could have been used."""
        names = set(sides)
        self._asked |= {number for number, one in enumerate(self.entries) if one.side is None or one.side in names}

    def unused(self) -> list[Allowance]:
        """Entries that could have taken in something and did not."""
        return [self.entries[number] for number in sorted(self._asked - self._used)]


def _takes_in(entry: Allowance, difference: Difference, sides: set[str]) -> bool:
    return (
        (entry.side is None or entry.side in sides)
        and (entry.kind is None or entry.kind == difference.kind)
        and _fits(entry.name, difference.name)
        and _fits(entry.field, difference.field)
        and _fits(entry.host, difference.host)
    )


def _fits(pattern: str | None, text: str) -> bool:
    return pattern is None or fnmatchcase(text, pattern)
