"""Instances that are made, kept, lost and found; no runner is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.projects import Project, existing

TWO = ({"name": "node1"}, {"name": "node2"})


def test_a_creation_that_fails_leaves_nothing(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=[{"name": "node1"}, {"name": "node2", "faults": {"create": "no space left"}}])
    outcome = project.run("create")
    assert outcome.code == 2
    assert "no space left" in outcome.text
    assert existing(fake_folder) == []
    assert project.instances() == []


def test_the_errors_of_all_hosts_are_told_at_once(project: Project, fake_folder: Path) -> None:
    project.scenario(
        platforms=[
            {"name": "node1", "faults": {"ready": "no pulse"}},
            {"name": "node2", "faults": {"ready": "no breath"}},
        ]
    )
    outcome = project.run("test")
    assert outcome.code == 2
    assert "2 platforms failed" in outcome.text
    assert "no pulse" in outcome.text
    assert "no breath" in outcome.text
    assert existing(fake_folder) == []


def test_an_instance_that_has_gone_is_made_again(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=TWO)
    project.passes("create")
    gone = next(name for name in existing(fake_folder) if "node1" in name)
    shutil.rmtree(fake_folder / "instances" / gone)
    outcome = project.passes("create")
    assert "node1 has gone" in outcome.text
    assert len(existing(fake_folder)) == 2
    assert gone not in existing(fake_folder)
    project.passes("destroy")


def test_a_platform_that_was_changed_is_used_as_it_is_with_a_word(project: Project, fake_folder: Path) -> None:
    project.scenario()
    project.passes("create")
    made = existing(fake_folder)
    project.scenario(platforms=[{"name": "node1", "faults": {"stop": "x"}}])
    outcome = project.passes("create")
    assert "changed in the scenario" in outcome.text
    assert "harness destroy -s default" in outcome.text
    assert existing(fake_folder) == made
    project.passes("destroy")


def test_a_platform_that_is_no_longer_asked_for_goes_with_destroy(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=TWO)
    project.passes("create")
    project.scenario(platforms=TWO[:1])
    project.passes("destroy")
    assert existing(fake_folder) == []
    assert project.instances() == []


def test_destroy_finds_by_label_what_the_journal_has_forgotten(project: Project, fake_folder: Path) -> None:
    project.scenario()
    project.passes("create")
    shutil.rmtree(project.folder / ".harness")
    project.passes("destroy", "--orphans")
    assert len(existing(fake_folder)) == 1
    project.passes("destroy")
    assert existing(fake_folder) == []


def test_destroy_works_when_the_scenario_has_gone(project: Project, fake_folder: Path) -> None:
    project.scenario()
    folder = project.scenario("old")
    project.passes("create", "-s", "old")
    shutil.rmtree(folder)
    outcome = project.run("destroy", "-s", "old")
    assert outcome.code == 0
    assert "destroyed node1 of old" in outcome.out
    assert existing(fake_folder) == []
    assert project.instances() == []
    assert project.run("destroy", "-s", "old").code == 2


def test_what_a_project_that_has_gone_kept_is_an_orphan(project: Project, fake_folder: Path) -> None:
    project.scenario()
    project.passes("create")
    away = project.folder.with_name("away")
    project.folder.rename(away)
    project.folder.mkdir()
    project.folder.rmdir()
    away.mkdir(exist_ok=True)
    import os

    os.chdir(away)
    outcome = project.passes("destroy", "--orphans")
    assert "has gone" in outcome.out
    assert existing(fake_folder) == []


def test_destroy_of_all_finds_scenarios_that_cannot_be_read(project: Project, fake_folder: Path) -> None:
    for name in ("one", "two"):
        project.scenario(name)
        project.passes("create", "-s", name)
    (project.folder / "molecule" / "one" / "molecule.yml").write_text("platforms: [")
    (project.folder / "molecule" / "two" / "plan.json").unlink()
    outcome = project.run("destroy", "--all")
    assert outcome.code == 0, outcome.text
    assert existing(fake_folder) == []


def test_a_driver_that_waits_in_vain_says_what_it_saw(project: Project, fake_folder: Path) -> None:
    fault = {"kind": "hang", "message": "a dark screen"}
    project.scenario(platforms=[{"name": "node1", "faults": {"ready": fault}}], scenario={"timeout_seconds": 1})
    outcome = project.run("test")
    assert outcome.code == 2
    assert "a dark screen" in outcome.text
    assert existing(fake_folder) == []


def test_platforms_kept_twice_over_all_go(project: Project, fake_folder: Path) -> None:
    project.scenario(scenario={"test_sequence": ["create", "destroy"]})
    project.passes("test", "--destroy=never")
    assert "removes them and 1 kept before" in project.passes("test", "--destroy=never").text
    assert len(existing(fake_folder)) == 2
    project.passes("destroy")
    assert existing(fake_folder) == []
    assert project.instances() == []


def test_destroy_that_fails_says_so_and_can_be_done_again(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=[{"name": "node1", "faults": {"destroy": 1}}])
    project.passes("create")
    outcome = project.run("destroy")
    assert outcome.code == 2
    assert "node1" in outcome.text
    project.passes("destroy")
    assert existing(fake_folder) == []


def test_another_driver_for_a_kept_platform_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.scenario()
    project.passes("create")
    outcome = project.run("create", "-d", "native")
    assert outcome.code == 2
    assert "harness destroy -s default" in outcome.text
    project.passes("destroy")


def test_a_read_only_state_folder_is_an_error_with_a_cure(project: Project) -> None:
    project.scenario()
    (project.folder / ".harness").write_text("")
    for verb in ("create", "test"):
        outcome = project.run(verb)
        assert outcome.code == 2
        assert "hint" in outcome.text
        assert "Traceback" not in outcome.text


def test_a_damaged_journal_is_an_error_with_a_cure(project: Project) -> None:
    project.scenario()
    (project.folder / ".harness").mkdir()
    (project.folder / ".harness" / "harness.db").write_bytes(b"x" * 5000)
    for verb in ("create", "list"):
        outcome = project.run(verb)
        assert outcome.code == 2
        assert "damaged" in outcome.text


def test_secrets_are_needed_by_what_runs_the_plan_alone(project: Project) -> None:
    project.scenario(provisioner={"secrets": {"A": {"env": "NO_SUCH_A"}}})
    project.passes("create")
    outcome = project.run("converge")
    assert outcome.code == 2
    assert "NO_SUCH_A" in outcome.text
    project.passes("destroy")


def test_the_run_of_a_configuration_lives_though_its_file_has_gone(project: Project, fake_folder: Path) -> None:
    from harness.drivers.base import InstanceRecord, RunId
    from harness.lifecycle.orphans import _orphaned
    from harness.lifecycle.workspace import Workspace

    run = RunId("20260101-000000000-aaaaaaaa")
    gone = project.folder / "e2e.json"
    record = InstanceRecord("fake", "id", "node1", "e2e", gone, run, False)
    with Workspace(project.folder / ".harness").run_lock(run).acquire("test"):
        assert _orphaned(record, {}) is None
    assert _orphaned(record, {}) is not None
