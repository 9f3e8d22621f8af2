"""Ctrl-C, SIGTERM, SIGHUP and SIGKILL, sent to a real process at work."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.models.results import Fail, StepResult
from harness.report.console import ConsoleObserver
from tests.projects import Project, existing, start, task
from tests.waiting import wait_for

pytestmark = pytest.mark.cargo

KILLS = int(os.environ.get("HARNESS_KILLS") or (50 if os.environ.get("HARNESS_SOAK") else 6))


@pytest.fixture
def hanging(project: Project) -> Path:
    """A scenario whose converge hangs; the file says when it has come to that."""
    reached = project.folder / "reached"
    project.scenario(tasks=[task("hang", f"touch {reached}; sleep 300")], files={"cleanup.sh": "true\n"})
    return reached


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cleans_up_and_ends_with_130(
    project: Project, fake_folder: Path, hanging: Path, number: signal.Signals
) -> None:
    with start(project, "test") as process:
        wait_for(hanging.exists)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert existing(fake_folder) == []
    assert project.instances() == []


def test_who_was_interrupted_between_two_steps_has_not_passed(
    project: Project, fake_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = ConsoleObserver.step_ended

    def interrupting(self: ConsoleObserver, scenario: str, result: StepResult) -> None:
        tell(self, scenario, result)
        if result.step == "syntax":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ConsoleObserver, "step_ended", interrupting)
    project.scenario()
    outcome = project.run("test")
    assert outcome.code == 130
    assert "PASSED" not in outcome.text
    assert project.report().validation_report.overall_result == Fail(reasons=["interrupted before the end"])


def test_ctrl_c_while_modules_are_imported_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "list"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_an_interrupted_converge_destroys_what_it_made_and_nothing_else(
    project: Project, fake_folder: Path, hanging: Path
) -> None:
    project.passes("create")
    kept = existing(fake_folder)
    with start(project, "converge") as process:
        wait_for(hanging.exists)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert existing(fake_folder) == kept
    hanging.unlink()
    project.passes("destroy")
    with start(project, "converge") as process:
        wait_for(hanging.exists)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert existing(fake_folder) == []


def test_a_second_signal_stops_at_once_and_says_what_is_left(project: Project, fake_folder: Path) -> None:
    reached = project.folder / "reached"
    project.scenario(
        platforms=[{"name": "node1", "faults": {"destroy": "hang"}}],
        tasks=[task("hang", f"touch {reached}; sleep 300")],
    )
    with start(project, "converge") as process:
        wait_for(reached.exists)
        process.send_signal(signal.SIGINT)
        wait_for(lambda: any(row.status == "destroying" for row in project.instances()))
        time.sleep(0.4)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "node1 (fake)" in output
    assert "harness destroy --orphans" in output
    assert len(existing(fake_folder)) == 1
    project.passes("destroy", "--orphans")
    assert existing(fake_folder) == []


def test_a_signal_that_comes_twice_at_once_is_one_request(project: Project, fake_folder: Path, hanging: Path) -> None:
    with start(project, "test") as process:
        wait_for(hanging.exists)
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert existing(fake_folder) == []


def test_whatever_moment_it_is_killed_orphans_are_removed_and_what_is_kept_stays(
    project: Project, fake_folder: Path
) -> None:
    project.scenario("bystander")
    project.passes("create", "-s", "bystander")
    kept = existing(fake_folder)
    project.scenario(platforms=[{"name": "node1"}, {"name": "node2"}], full=True)
    started = time.monotonic()
    project.passes("test")
    usual = time.monotonic() - started + 0.5
    chance = random.Random(20260101)
    for verb in ["test", "converge"] * (KILLS // 2):
        with start(project, verb) as process:
            time.sleep(chance.uniform(0.2, usual))
            process.kill()
            process.communicate()
        if verb == "converge" and existing(fake_folder) != kept:
            # Killed after its creation, they are kept on purpose: then it is `destroy` that ends them.
            project.passes("destroy", "--orphans")
            project.passes("destroy")
        project.passes("destroy", "--orphans")
        assert existing(fake_folder) == kept
        assert [row.scenario for row in project.instances()] == ["bystander"]
        assert not list((project.folder / ".harness" / "locks").glob("run-*"))
    project.passes("test")
    project.passes("destroy", "-s", "bystander")


@pytest.mark.parametrize("verb", ["test", "create"])
def test_a_kill_in_the_middle_of_a_creation_leaves_an_orphan(project: Project, fake_folder: Path, verb: str) -> None:
    project.scenario("bystander")
    project.passes("create", "-s", "bystander")
    kept = existing(fake_folder)
    project.scenario(
        platforms=[{"name": "node1"}, {"name": "node2", "faults": {"create": {"kind": "crash", "times": 1}}}]
    )
    with start(project, verb) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert "its run" in project.passes("list", "--live").out or existing(fake_folder) == kept
    project.passes("destroy", "--orphans")
    assert existing(fake_folder) == kept
    project.passes(verb)
    project.passes("destroy")
    project.passes("destroy", "-s", "bystander")
    assert existing(fake_folder) == []


def test_the_next_verb_clears_away_what_a_killed_creation_left(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=[{"name": "node1", "faults": {"create": {"kind": "crash", "times": 1}}}])
    with start(project, "create") as process:
        process.communicate(timeout=60)
    assert len(existing(fake_folder)) == 1
    project.passes("create")
    assert len(existing(fake_folder)) == 1
    assert [row.status for row in project.instances()] == ["created"]
    project.passes("destroy")


def test_a_second_verb_waits_and_says_for_whom(project: Project, hanging: Path) -> None:
    with start(project, "converge") as process:
        wait_for(hanging.exists)
        outcome = project.run("verify", "--lock-timeout", "0.2")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert outcome.code == 2
    assert f"pid {process.pid} (harness converge" in outcome.text


def test_orphans_of_a_living_run_are_none(project: Project, fake_folder: Path, hanging: Path) -> None:
    with start(project, "test") as process:
        wait_for(hanging.exists)
        project.passes("destroy", "--orphans")
        assert len(existing(fake_folder)) == 1
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_reader_that_goes_does_not_keep_a_run_from_cleaning_up(project: Project, fake_folder: Path) -> None:
    project.scenario()
    with start(project, "test", "-vv") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(60)
    assert existing(fake_folder) == []


def test_a_creation_that_hangs_is_left_with_a_word(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=[{"name": "node1", "faults": {"create": "hang"}}])
    with start(project, "create") as process:
        wait_for(lambda: bool(existing(fake_folder)))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "left behind: node1 (fake)" in output
    project.passes("destroy", "--orphans")
    assert existing(fake_folder) == []
