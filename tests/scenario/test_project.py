from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.scenario import find_project, list_scenarios, select_scenarios
from harness.scenario.project import scenario_directory


def make(project: Path, *names: str, under: str = "molecule") -> None:
    for name in names:
        (project / under / name).mkdir(parents=True)
        (project / under / name / "molecule.yml").write_text("")


def test_a_folder_that_may_not_be_looked_into_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "molecule" / "closed").mkdir(parents=True)
    assert list_scenarios(tmp_path) == []
    monkeypatch.setattr("os.access", lambda path, mode: "closed" not in str(path))  # root may look everywhere
    assert list_scenarios(tmp_path) == ["closed"]


def test_the_project_is_the_nearest_folder_upwards(project: Path) -> None:
    make(project, "default")
    inside = project / "molecule" / "default" / "tests"
    inside.mkdir()
    assert find_project(project) == find_project(inside) == project
    with pytest.raises(UsageError) as caught:
        find_project(project.parent)
    assert "harness init" in str(caught.value.hint)


def test_a_collection_has_its_scenarios_in_extensions(project: Path) -> None:
    make(project, "a", under="extensions/molecule")
    assert find_project(project) == project
    assert list_scenarios(project) == ["a"]


def test_a_collection_has_them_at_any_depth(project: Path) -> None:
    make(project, "default", "vlans/merged", "vlans/deep/er", "vlans/.hidden", under="extensions/molecule")
    (project / "extensions/molecule/vlans/round").symlink_to(project / "extensions/molecule")
    assert list_scenarios(project) == ["default", "vlans/deep/er", "vlans/merged"]
    assert scenario_directory(project, "vlans/merged") == project / "extensions/molecule/vlans/merged"
    assert select_scenarios(project, ["vlans/*"]) == ["vlans/deep/er", "vlans/merged"]
    make(project, "plain", "other/nested")
    assert list_scenarios(project) == ["plain"]


def test_what_is_a_scenario(project: Path) -> None:
    make(project, "web", "db", ".hidden")
    (project / "molecule" / "shared").mkdir()
    (project / "molecule" / "file").write_text("")
    (project / "molecule" / "odd" / "molecule.yml").mkdir(parents=True)
    (project / "molecule" / "linked").symlink_to(project / "molecule" / "web")
    (project / "molecule" / "dangling").symlink_to(project / "nowhere")
    assert list_scenarios(project) == ["db", "linked", "web"]
    assert list_scenarios(project / "molecule") == []


def test_selection(project: Path) -> None:
    make(project, "default", "web-a", "web-b", "db")
    assert select_scenarios(project) == ["default"]
    assert select_scenarios(project, ["web-*", "db", "web-a"]) == ["web-a", "web-b", "db"]
    assert select_scenarios(project, everything=True, exclude=["web-*"]) == ["db", "default"]


@pytest.mark.parametrize(
    ("patterns", "exclude", "words"),
    [
        (["wbe"], [], "no scenario matches 'wbe'"),
        (["x*"], [], "no scenario matches 'x*'"),
        (["web"], ["web"], "every scenario that was asked for is excluded"),
        (["web"], ["wbe"], "no scenario matches 'wbe', which is excluded"),
    ],
)
def test_what_selects_nothing_is_an_error(project: Path, patterns: list[str], exclude: list[str], words: str) -> None:
    make(project, "web", "db")
    with pytest.raises(UsageError) as caught:
        select_scenarios(project, patterns, exclude=exclude)
    assert words in caught.value.message


def test_molecules_own_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("roles/a/molecule/one", "roles/b/molecule/two", "molecule/other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "molecule.yml").write_text("")
    monkeypatch.setenv("MOLECULE_GLOB", "roles/*/molecule/*/molecule.yml")
    assert find_project(tmp_path) == tmp_path
    assert list_scenarios(tmp_path) == ["one", "two"]
    assert scenario_directory(tmp_path, "two") == tmp_path / "roles/b/molecule/two"
    (tmp_path / "roles/b/molecule/two").rename(tmp_path / "roles/b/molecule/one")
    with pytest.raises(UsageError, match="are both the scenario one"):
        list_scenarios(tmp_path)
    for name in ("a/x", "b/x"):
        (tmp_path / "extensions/molecule" / name).mkdir(parents=True)
        (tmp_path / "extensions/molecule" / name / "molecule.yml").write_text("")
    monkeypatch.setenv("MOLECULE_GLOB", "extensions/molecule/*/*/molecule.yml")
    assert list_scenarios(tmp_path) == ["a/x", "b/x"]
