"""What was seen of a platform around a run of the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.machine import Machine


@dataclass(frozen=True)
class Observed:
    """A platform before and after the plan; where the plan was not run `after` is `before`.

    `whole`: all files were looked at, so that what is not among them is not there; else those of `looked_for`.
    `touched`: paths that the run made, changed or removed, were it only by writing the same again. `texts`: what
    small files that were looked at hold, those first that were touched or asked for; secrets masked."""

    before: Machine
    after: Machine
    whole: bool = False
    touched: frozenset[str] = frozenset()
    texts: dict[str, str] = field(default_factory=dict)

    def knows(self, path: str) -> bool:
        """Whether it is known what there is after the run, the content of a file included."""
        entry = self.after.files.get(path)
        if entry is None:
            return self.whole or path in self.after.looked_for
        return entry.kind != "file" or entry.sha256 is not None
