"""What lies beside a snapshot's files and tells whose they are."""

from __future__ import annotations

from collections.abc import Sequence

from harness.drivers.base import ScenarioRef, Snapshot, is_automatic
from harness.models.serde import StrictModel


class Manifest(StrictModel):
    """The part that the manifests of all drivers share. `created` in Unix seconds; `size`: bytes that it takes on this
    machine's disk."""

    key: str
    platform: str
    project: str
    scenario: str
    created: float
    size: int

    def is_listed(self, scenario: ScenarioRef) -> bool:
        """The automatic ones of all projects are, and those that people gave a name in this scenario."""
        own = (self.project, self.scenario) == (str(scenario.project), scenario.name)
        return own or is_automatic(self.key)

    def snapshot(self, driver: str, *, missing: Sequence[str], digest: str, used: Sequence[str]) -> Snapshot:
        return Snapshot(
            driver=driver,
            key=self.key,
            platform=self.platform,
            created=self.created,
            size=self.size,
            missing=tuple(missing),
            digest=digest,
            used=tuple(used),
        )
