from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from harness.cli import group
from harness.scenario.skeleton import init_scenario


def completed(*words: str) -> list[str]:
    shell = ShellComplete(group, {}, "harness", "_HARNESS_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_names_of_the_project_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("test", "-s", "") == []
    for name in ("web", "worker", "other"):
        init_scenario(tmp_path, name)
    assert completed("test", "-s", "w") == ["web", "worker"]
    assert completed("exec", "-s", "web", "-h", "") == ["node1"]
    assert completed("create", "-d", "nat") == ["native"]
    assert "simple_plan" in completed("test", "--fixture", "simple")
    (tmp_path / "molecule" / "web" / "molecule.yml").write_text("driver: 7")
    assert completed("exec", "-s", "web", "-p", "") == []
