from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.errors import HarnessError, UsageError
from harness.scenario import load_scenario, load_settings
from harness.scenario.skeleton import init_scenario


@pytest.mark.parametrize("name", ["web", "on", "null", "8080", "web.a-b_c", "A", "a" * 63])
def test_it_loads_and_its_plan_is_sound(project: Path, name: str) -> None:
    from harness.plan import check_plan, read_plan
    from harness.scenario.outcomes import check_outcomes

    files = init_scenario(project, name, driver="fake")
    scenario = load_scenario(project, name, settings=load_settings(project))
    assert scenario.platforms[0].groups == (name,)
    assert scenario.provisioner.plan in files
    assert scenario.provisioner.plan is not None
    plan = read_plan(scenario.provisioner.plan)
    assert not check_plan(plan, honours=None, platforms=["node1"], source=scenario.provisioner.plan)
    assert not check_outcomes(scenario.verifier.expected_outcomes, plan, source=Path("expected.json"))
    assert [path.name for path in files if path.suffix == ".py"] == [
        path.name for path in scenario.verifier.directory.iterdir()
    ]
    assert sorted(path.name for path in (project / "molecule").iterdir()) == [name]


def test_an_image_is_written_down(project: Path) -> None:
    init_scenario(project, "web", driver="fake", image='a"b: $c')
    scenario = load_scenario(project, "web", settings=load_settings(project))
    assert scenario.platforms[0].image == 'a"b: $c'


@pytest.mark.parametrize("driver", ["default", "docker", "libvirt", "native", "ssh", "vagrant"])
def test_a_driver_that_needs_an_image_gets_one(project: Path, driver: str) -> None:
    registry.driver(driver)
    init_scenario(project, "web", driver=driver)
    (platform,) = load_scenario(project, "web", settings=load_settings(project)).platforms
    assert platform.driver == driver
    assert platform.image == ("debian-12" if driver in ("docker", "libvirt", "vagrant") else None)


def test_nothing_is_overwritten(project: Path) -> None:
    init_scenario(project, "web")
    (project / "molecule/web/plan.json").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        init_scenario(project, "web")
    assert (project / "molecule/web/plan.json").read_text() == "mine"
    (project / "molecule/dangling").symlink_to(project / "nowhere")
    with pytest.raises(UsageError, match="exists already"):
        init_scenario(project, "dangling")


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".hidden", "a b", "a" * 64, "ä", "a\n"])
def test_a_name_that_can_be_none(project: Path, name: str) -> None:
    with pytest.raises(UsageError, match="can't name a scenario"):
        init_scenario(project, name)
    assert not list(project.iterdir())


def test_an_unknown_driver(project: Path) -> None:
    with pytest.raises(UsageError, match="no driver named 'ntive'") as caught:
        init_scenario(project, "web", driver="ntive")
    assert caught.value.hint == "did you mean native?"


def test_where_it_cannot_be_made_nothing_is_left(project: Path) -> None:
    (project / "molecule").write_text("a file")
    with pytest.raises(HarnessError, match="cannot be made"):
        init_scenario(project, "web")
    assert [path.name for path in project.iterdir()] == ["molecule"]


def test_a_folder_has_the_usual_mode(project: Path) -> None:
    init_scenario(project, "web")
    (project / "ordinary").mkdir()
    assert (project / "molecule/web").stat().st_mode == (project / "ordinary").stat().st_mode


def test_the_verb_says_what_comes_next(project: Path) -> None:
    command = [sys.executable, "-m", "harness", "init", "scenario", "web"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0
    assert "made molecule/web/plan.json" in first.stdout
    assert "harness test -s web" in first.stdout
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "molecule/web exists already" in second.stderr
