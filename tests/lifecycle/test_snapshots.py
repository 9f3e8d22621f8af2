"""What `prepare` made is kept, gone on from, shared, and never trusted further than it goes. On the fake driver."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.lifecycle.snapshots import shelf
from tests.projects import Project, existing, start
from tests.waiting import left_running, wait_for

PREPARE = 'date +%s.%N >state; echo prepared >>"$LOG"\n'
LOOK = 'echo "seen $(cat state)" >>"$LOG"; echo touched >>state\n'
TWO = ({"name": "node1"}, {"name": "node2"})


@pytest.fixture(autouse=True)
def cache(fake_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(folder))
    monkeypatch.delenv("HARNESS_SNAPSHOTS_ENABLED")
    return folder


@pytest.fixture
def log(project: Project) -> Path:
    return project.folder / "log"


def scenario(
    project: Project,
    name: str = "default",
    *,
    platforms: Sequence[Mapping[str, Any]] = ({"name": "node1"},),
    prepare: str = PREPARE,
    env: Mapping[str, str] | None = None,
) -> Path:
    return project.scenario(
        name,
        platforms=platforms,
        provisioner={"env": {"LOG": str(project.folder / "log"), **(env or {})}},
        files={"prepare.sh": prepare, "side_effect.sh": LOOK},
        scenario={"test_sequence": ["create", "prepare", "side_effect", "destroy"]},
    )


def lines(log: Path) -> list[str]:
    """What has been written to it since the last call."""
    found = log.read_text().splitlines() if log.exists() else []
    log.write_text("")
    return found


def prepared(log: Path) -> bool:
    return "prepared" in lines(log)


def held(fake_folder: Path) -> list[Path]:
    return sorted((fake_folder / "snapshots").glob("shared/*/*"))


def reason(project: Project, step: str = "prepare") -> str | None:
    return next(one.reason for one in project.report().steps if one.step == step)


def test_every_run_goes_on_from_the_state_that_the_first_made(project: Project, log: Path, fake_folder: Path) -> None:
    scenario(project, platforms=TWO)
    project.passes("test")
    first = lines(log)
    assert first.count("prepared") == 2
    assert [(use.host, use.made) for use in project.report().snapshots] == [("node1", True), ("node2", True)]
    project.passes("test")
    second = lines(log)
    assert sorted(second) == sorted(line for line in first if line != "prepared"), "the same state, to the byte"
    report = project.report()
    assert [(use.host, use.made) for use in report.snapshots] == [("node1", False), ("node2", False)]
    assert report.snapshots[0].missing == ["processes"]
    assert project.steps()["prepare"] == "passed"
    assert f"from snapshot {report.snapshots[0].key[:12]}, made " in (reason(project) or "")
    assert len(held(fake_folder)) == 2
    assert existing(fake_folder) == []
    assert not list((shelf.home() / "publishing").iterdir())


def test_the_first_run_keeps_nothing_that_a_snapshot_does_not(project: Project, log: Path) -> None:
    """As the later ones: a process that prepare started has ended."""
    scenario(project, prepare=left_running("sleep 97531") + 'echo $! >"$LOG.pid"\n' + PREPARE)
    (project.folder / "molecule/default/side_effect.sh").write_text(
        'grep -q 9753[1] "/proc/$(cat "$LOG.pid")/cmdline" && echo alive >>"$LOG"; cat state >>"$LOG"\n'
    )
    for _ in range(2):
        project.passes("test")
        assert "alive" not in lines(log)


CHANGES: dict[str, dict[str, Any]] = {
    "script": {"prepare": PREPARE + "# another\n"},
    "environment": {"env": {"COLOUR": "red"}},
    "groups": {"platforms": [{"name": "node1", "groups": ["web"]}]},
    "origin": {"platforms": [{"name": "node1", "image": "other"}]},
    "options": {"platforms": [{"name": "node1", "faults": {"stop": 1}}]},
    "platforms": {"platforms": TWO},
}


def test_a_changed_input_is_prepared_anew(project: Project, log: Path) -> None:
    scenario(project)
    project.passes("test")
    lines(log)
    for what, change in CHANGES.items():
        scenario(project, **change)
        project.passes("test")
        assert prepared(log), what
        scenario(project)
        if what == "script":
            project.passes("test")
            assert not prepared(log), "the first one is still there"


def test_another_version_of_the_harness_trusts_none(
    project: Project, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario(project)
    project.passes("test")
    lines(log)
    monkeypatch.setattr("harness.lifecycle.snapshots.inputs.__version__", "99")
    project.passes("test")
    assert prepared(log)


def test_a_digest_of_inputs_tells_nothing_without_its_key(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario(project, env={"PIN": "1234"})
    project.passes("test")
    [first] = shelf.all_sets()
    assert "1234" not in first.model_dump_json()
    assert (shelf.home() / "secret").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "other"))
    project.passes("test")
    [second] = shelf.all_sets()
    assert first.inputs
    assert all(first.inputs[name] != second.inputs[name] for name in first.inputs)


def test_what_is_too_old_is_made_anew(project: Project, log: Path, fake_folder: Path) -> None:
    scenario(project)
    project.passes("test")
    [old] = held(fake_folder)
    [record] = shelf.all_sets()
    shelf.put(record.model_copy(update={"created": time.time() - 25 * 3600}))
    lines(log)
    outcome = project.passes("test")
    assert "made 25 h ago, which is too long" in outcome.text
    assert prepared(log)
    [new] = held(fake_folder)
    assert new != old
    (project.folder / "harness.toml").write_text("[snapshots]\nmax_age_hours = 0.00001\n")
    project.passes("test")
    assert prepared(log)


@pytest.mark.parametrize("what", ["deleted", "damaged", "record", "half"])
def test_what_is_not_whole_is_made_anew(project: Project, log: Path, fake_folder: Path, what: str) -> None:
    import shutil

    scenario(project, platforms=TWO)
    project.passes("test")
    lines(log)
    first, second = held(fake_folder)
    if what == "deleted":
        shutil.rmtree(second)
    elif what == "damaged":
        (first / "state").write_text("something else")
    elif what == "record":
        [path] = (shelf.home() / "sets").iterdir()
        path.write_text("{")
    else:
        [record] = shelf.all_sets()
        shelf.put(record.model_copy(update={"parts": record.parts[:1]}))
    outcome = project.passes("test")
    assert lines(log).count("prepared") == 2, "of several platforms all or none"
    if what in ("deleted", "damaged"):
        assert "prepare is run again" in outcome.text
    project.passes("test")
    assert not prepared(log)
    assert existing(fake_folder) == []


def test_one_that_nothing_comes_up_from_is_not_trusted(
    project: Project, log: Path, fake_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.drivers.fake import FakeSite
    from harness.errors import DriverFailed

    scenario(project, platforms=TWO)
    project.passes("test")
    lines(log)

    def fail(*_: object) -> None:
        raise DriverFailed("node1: it does not start")

    with monkeypatch.context() as patched:
        patched.setattr(FakeSite, "_begin_as", fail)
        outcome = project.passes("test")
    assert "does not do, prepare is run again: " in outcome.text
    assert "node1: it does not start" in outcome.text
    assert lines(log).count("prepared") == 2
    assert existing(fake_folder) == []


def test_without(project: Project, log: Path, fake_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option, setting, platform; a run that is told so makes none and uses none."""
    scenario(project)
    project.passes("test", "--no-snapshot")
    assert prepared(log)
    monkeypatch.setenv("HARNESS_SNAPSHOTS_ENABLED", "false")
    project.passes("test")
    assert prepared(log)
    monkeypatch.delenv("HARNESS_SNAPSHOTS_ENABLED")
    scenario(project, platforms=[{"name": "node1", "snapshot": False}, {"name": "node2"}])
    project.passes("test")
    assert lines(log).count("prepared") == 2
    assert held(fake_folder) == []
    assert shelf.all_sets() == []


@pytest.mark.parametrize("why", [{"volumes": ["/data"]}, {"unsure": "nobody knows"}], ids=["volumes", "unsure"])
def test_only_where_it_is_asked_for(project: Project, log: Path, fake_folder: Path, why: dict[str, Any]) -> None:
    scenario(project, platforms=[{"name": "node1", **why}])
    outcome = project.passes("test", "--debug")
    assert "not kept as a snapshot: node1" in outcome.text
    assert "`snapshot: true` asks for it" in outcome.text
    assert held(fake_folder) == []
    scenario(project, platforms=[{"name": "node1", "snapshot": True, **why}])
    project.passes("test")
    lines(log)
    project.passes("test")
    assert not prepared(log)


def test_nothing_to_prepare_costs_nothing(project: Project, fake_folder: Path) -> None:
    folder = scenario(project)
    (folder / "prepare.sh").unlink()
    project.passes("test")
    assert not (fake_folder / "snapshots").exists()
    assert not shelf.home().exists()


def test_a_sequence_that_does_not_prepare_starts_from_nothing(project: Project, log: Path) -> None:
    scenario(project)
    project.passes("test")
    lines(log)
    path = project.folder / "molecule/default/molecule.yml"
    path.write_text(path.read_text().replace("  - prepare\n", ""))
    project.run("test")
    assert "seen " in "\n".join(lines(log))
    assert project.report().snapshots == []


def test_prepare_that_fails_is_kept_by_nobody(project: Project, fake_folder: Path) -> None:
    scenario(project, prepare="exit 3\n")
    assert project.run("test").code == 1
    assert held(fake_folder) == []
    assert shelf.all_sets() == []


def test_kept_platforms_tell_what_they_started_from(project: Project, log: Path) -> None:
    scenario(project)
    project.passes("create")
    project.passes("destroy")
    lines(log)
    project.passes("prepare")
    assert not prepared(log)
    [row] = json.loads(project.passes("list", "--json").out)
    [record] = shelf.all_sets()
    assert row["snapshot"] == record.key
    assert record.key[:12] in project.passes("list").out
    assert "nothing to remove" not in project.passes("snapshot", "prune", "--all").out
    assert shelf.all_sets() == [record], "a kept platform lies on it"
    [listed] = json.loads(project.passes("snapshot", "list", "--json").out)["automatic"]
    assert listed["used"] == [project.instances()[0].id]
    project.passes("prepare", "--force")
    assert prepared(log)
    project.passes("destroy")
    assert "removed" in project.passes("snapshot", "prune", "--all").out
    assert shelf.all_sets() == []


def test_force_makes_it_anew(project: Project, log: Path, fake_folder: Path) -> None:
    scenario(project)
    project.passes("prepare")
    project.passes("destroy")
    [old] = held(fake_folder)
    lines(log)
    project.passes("prepare", "--force")
    assert prepared(log)
    [new] = held(fake_folder)
    assert new != old
    project.passes("destroy")


def test_a_disk_that_is_full_changes_no_verdict(project: Project, log: Path, fake_folder: Path) -> None:
    """The platforms are restarted: their state is as a snapshot would have it."""
    faulty: list[dict[str, Any]] = [{"name": "node1"}, {"name": "node2", "faults": {"snapshot": "no space left"}}]
    scenario(project, platforms=faulty, prepare=left_running("sleep 97532") + 'echo $! >"$LOG.pid"\n' + PREPARE)
    outcome = project.passes("test")
    assert "could not be kept as a snapshot (node2: snapshot failed: no space left" in outcome.text
    assert "restarted" in outcome.text
    pid = (project.folder / "log.pid").read_text().strip()
    assert "97532" not in (Path(f"/proc/{pid}/cmdline").read_text() if Path(f"/proc/{pid}").exists() else "")
    assert [line.split()[0] for line in lines(log)] == ["prepared", "prepared", "seen", "seen"]
    assert held(fake_folder) == [], "the half of it that worked is gone, too"
    assert project.report().snapshots == []
    assert existing(fake_folder) == []


def test_a_cache_that_cannot_be_written_changes_no_verdict(project: Project, log: Path, cache: Path) -> None:
    scenario(project)
    project.passes("test")
    for name in ("publishing", "secret"):
        place = shelf.home() / name
        place.rmdir() if place.is_dir() else place.unlink()
        place.mkdir() if name == "secret" else place.write_text("in the way")
        lines(log)
        scenario(project, prepare=PREPARE + f"# {name}\n")
        outcome = project.passes("test")
        assert "could not be kept as a snapshot" in outcome.text
        assert prepared(log)


@pytest.mark.parametrize("at", ["start", "middle"])
def test_killed_while_publishing(project: Project, log: Path, fake_folder: Path, at: str) -> None:
    """The old one or none; what is left is found, and the next run makes its own."""
    scenario(project, platforms=TWO)
    project.passes("test")
    before = shelf.all_sets()
    crash = {"kind": "crash", "at": at, "times": 1}
    scenario(project, platforms=[{"name": "node1"}, {"name": "node2", "faults": {"snapshot": crash}}])
    process = start(project, "test", "--workers", "1")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert shelf.all_sets() == before
    [left] = shelf.announcements()
    assert left.is_dead
    assert len(held(fake_folder)) == (3 if at == "start" else 4), "the half of one is there as well"
    outcome = project.passes("destroy", "--orphans")
    assert "removed the snapshot" in outcome.text
    assert shelf.announcements() == []
    assert len(held(fake_folder)) == 2
    assert shelf.all_sets() == before
    assert existing(fake_folder) == []
    lines(log)
    project.passes("test")
    assert prepared(log)
    project.passes("test")
    assert not prepared(log)


def test_two_runs_at_once_go_on_from_the_same(project: Project, log: Path, fake_folder: Path) -> None:
    slow = {"name": "node1", "faults": {"snapshot": {"kind": "slow", "seconds": 1.0}}}
    scenario(project, platforms=[slow])
    both = [start(project, "test"), start(project, "test")]
    texts = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert len({line for line in lines(log) if line.startswith("seen")}) == 1
    assert len(held(fake_folder)) == 1
    assert len(shelf.all_sets()) == 1
    assert existing(fake_folder) == []


def test_orphans_leave_alone_what_is_being_published(project: Project, fake_folder: Path, cache: Path) -> None:
    slow = {"name": "node2", "faults": {"snapshot": {"kind": "slow", "seconds": 3.0}}}
    scenario(project, platforms=[{"name": "node1"}, slow])
    process = start(project, "test", "--workers", "1")
    wait_for(lambda: held(fake_folder))
    assert "removed the snapshot" not in project.passes("destroy", "--orphans").text
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert len(held(fake_folder)) == 2


def test_what_a_scenario_will_not_come_back_to_goes(project: Project, fake_folder: Path) -> None:
    for number in range(6):
        scenario(project, prepare=PREPARE + f"# {number}\n")
        project.passes("test")
    assert len(shelf.all_sets()) == len(held(fake_folder)) == 3
    outcome = project.passes("snapshot", "prune")
    assert outcome.out.count("removed") == 2, "those that a newer one has replaced"
    assert len(shelf.all_sets()) == len(held(fake_folder)) == 1
    assert "nothing to remove" in project.passes("snapshot", "prune").out


def test_snapshots_of_a_persons_own(project: Project, log: Path) -> None:
    scenario(project, platforms=TWO)
    project.passes("prepare")
    project.passes("exec", "-p", "node1", "--", "echo mine >state; touch extra")
    outcome = project.passes("snapshot", "create", "mine")
    assert "node1: mine" in outcome.out
    assert "without processes" in outcome.out
    project.passes("exec", "-p", "node1", "--", "echo other >state; rm extra")
    named = json.loads(project.passes("snapshot", "list", "--json").out)["named"]
    assert sorted((row["name"], row["platform"]) for row in named) == [("mine", "node1"), ("mine", "node2")]
    project.passes("snapshot", "prune", "--all")
    project.passes("snapshot", "restore", "mine")
    assert project.passes("exec", "-p", "node1", "--", "cat state; ls extra").out == "mine\nextra\n"
    lines(log)
    project.passes("prepare")
    assert not prepared(log), "what had been done by then has been done"
    project.passes("destroy")
    scenario(project, platforms=[{"name": "node1", "snapshot": "mine"}])
    project.passes("create", "--no-snapshot")
    assert project.passes("exec", "--", "ls extra").out == "extra\n"
    project.passes("destroy")
    project.passes("snapshot", "delete", "mine")
    outcome = project.run("create")
    assert outcome.code == 2
    assert "node1: there is no snapshot 'mine' that it could start from" in outcome.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["snapshot", "create", "mine"], "no platform of scenario 'default' is kept"),
        (["snapshot", "create", "../x"], "is no name for a snapshot"),
        (["snapshot", "create", "a" * 64], "is no name for a snapshot"),
        (["snapshot", "restore", "mine"], "no platform of scenario 'default' is kept"),
        (["snapshot", "delete", "mine"], "has no snapshot 'mine'"),
        (["snapshot", "create", "-p", "nobody", "mine"], "it has no platform 'nobody'"),
    ],
)
def test_wrong_use_is_told(project: Project, arguments: list[str], words: str) -> None:
    scenario(project)
    outcome = project.run(*arguments)
    assert outcome.code == 2
    assert words in outcome.text
    assert "Traceback" not in outcome.text


def test_interrupted_while_publishing_leaves_nothing(project: Project, fake_folder: Path) -> None:
    slow = {"name": "node1", "faults": {"snapshot": {"kind": "slow", "seconds": 2.0}}}
    scenario(project, platforms=[slow])
    process = start(project, "test")
    wait_for(shelf.announcements)
    os.kill(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert existing(fake_folder) == []
    assert held(fake_folder) == []
    assert shelf.announcements() == []
