"""Forget what is known of a scenario."""

from __future__ import annotations

import shutil
from contextlib import closing

from harness.lifecycle.journal import Journal
from harness.lifecycle.locks import is_free
from harness.lifecycle.workspace import Workspace
from harness.models.scenario import Scenario


def forget(scenario: Scenario, *, shared: bool = False) -> int:
    """Remove the scenario's rows, the folders of its ended runs and, unless it is `shared` with others, its ephemeral
    folder; how many runs that were."""
    workspace = Workspace.of(scenario.ref.project)
    with (
        workspace.scenario_lock(scenario.name).acquire("reset", timeout=60.0),
        closing(Journal.open(workspace.database)) as journal,
    ):
        runs = [row.run for row in journal.runs(scenario.name) if is_free(workspace.run_lock_path(row.run))]
        for run in runs:
            shutil.rmtree(workspace.run_folder(run), ignore_errors=True)
        journal.forget_scenario(scenario.name)
        latest = workspace.runs / "latest"
        if latest.is_symlink() and not latest.exists():
            latest.unlink(missing_ok=True)
        if scenario.provisioner.ansible is not None and not shared:
            shutil.rmtree(scenario.provisioner.ansible.ephemeral, ignore_errors=True)
    return len(runs)
