"""Whose an instance is: what every driver writes down, in the real system or beside it, before it makes one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.drivers.base import InstanceRecord, RunId
from harness.models.serde import StrictModel


class Ownership(StrictModel):
    """The part that all labels share. `created` in Unix seconds."""

    project: str
    scenario: str
    run: str
    kept: bool
    created: float

    def record_of(
        self, driver: str, identifier: str, platform: str, *, status: str, detail: Mapping[str, str]
    ) -> InstanceRecord:
        """The instance that the driver knows by this identifier, as its own."""
        return InstanceRecord(
            driver=driver,
            id=identifier,
            platform=platform,
            scenario=self.scenario,
            project=Path(self.project),
            run=RunId(self.run),
            kept=self.kept,
            status=status,
            created=self.created,
            detail=detail,
        )
