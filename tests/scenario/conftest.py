"""A project in an empty folder, with a home folder and an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import InvalidInput
from harness.models.scenario import Scenario
from harness.scenario import Overrides, load_scenario, load_settings

PLAN = '{"metadata": {}, "hosts": ["node1"], "plays": []}'
MINIMAL = """\
driver: {name: fake}
platforms:
  - name: node1
provisioner: {name: binary}
"""

Load = Callable[..., Scenario]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in os.environ:
        if name.startswith(("HARNESS_", "RUSTLE_E2E_", "MOLECULE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HARNESS_FAKE", "1")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def load(project: Path) -> Load:
    """Writes molecule/web/molecule.yml (and a plan) and loads it."""

    def loaded(text: str | bytes, overrides: Overrides | None = None) -> Scenario:
        folder = project / "molecule" / "web"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "molecule.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
        if not (folder / "plan.json").exists():
            (folder / "plan.json").write_text(PLAN)
        return load_scenario(project, "web", settings=load_settings(project), overrides=overrides)

    return loaded


def problems_of(load: Callable[[], object]) -> list[str]:
    """What loading complains of, line by line; it must complain."""
    with pytest.raises(InvalidInput) as caught:
        load()
    return [str(problem) for problem in caught.value.problems]
