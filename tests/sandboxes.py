"""Native platforms for tests of what stands on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.drivers.base import PlatformSpec, ScenarioRef
from harness.lifecycle.workspace import Workspace, new_run_id
from harness.models.endpoint import Endpoint
from harness.registry import driver


@contextmanager
def sandboxes(project: Path, *names: str, **options: object) -> Iterator[dict[str, Endpoint]]:
    """One for each name, or the test is skipped. The run holds its lock: nobody's `destroy --orphans` takes them."""
    native = driver("native")
    problems = native.diagnose()
    if problems:
        pytest.skip(f"no sandbox here: {problems[0]}")
    workspace, run = Workspace.of(project), new_run_id()
    workspace.prepare()
    specs = [PlatformSpec(name, "native", options=native.platform_options.model_validate(options)) for name in names]
    with (
        workspace.run_lock(run).acquire("tests", timeout=5.0),
        native.open(ScenarioRef(project, "tests", project), run, keep=False) as site,
    ):
        instances = site.create(specs, {})
        try:
            yield {instance.name: site.wait_ready(instance, Deadline(30)) for instance in instances}
        finally:
            for instance in instances:
                site.destroy(instance)
