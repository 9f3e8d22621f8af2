"""Platforms of scenarios that can no longer be read: their labels and the journal still name them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from fnmatch import fnmatchcase

from harness.drivers.base import InstanceRecord
from harness.errors import HarnessError
from harness.lifecycle.journal import Journal
from harness.lifecycle.orphans import destroy_leftovers, living
from harness.lifecycle.several import project_or_here
from harness.lifecycle.workspace import Workspace

_LOCK_TIMEOUT = 60.0


def destroy_forgotten(
    patterns: Sequence[str], platforms: Sequence[str], on_removed: Callable[[InstanceRecord, str], None]
) -> bool:
    """Destroy what still carries names of scenarios that match here; whether there was anything. Raises HarnessError
    with what could not be destroyed."""
    project = project_or_here()
    workspace = Workspace.of(project)
    found = False
    labelled = sorted({item.record.scenario for item in living() if item.record.project == project})
    for scenario in labelled:
        if not any(fnmatchcase(scenario, pattern) for pattern in patterns):
            continue
        with workspace.scenario_lock(scenario).acquire("destroy", timeout=_LOCK_TIMEOUT):
            reaped = destroy_leftovers(project, scenario, platforms or None, on_removed)
            if reaped.failed:
                raise HarnessError("\n".join(reaped.failed))
            found = found or bool(reaped.removed)
            if workspace.database.exists():
                with closing(Journal.open(workspace.database)) as journal:
                    for row in journal.instances(scenario):
                        if row.keep and (not platforms or row.platform in platforms):
                            journal.destroyed(row.run, scenario, row.platform)
    return found
