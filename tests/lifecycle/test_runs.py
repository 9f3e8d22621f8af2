"""Whole runs on the fake driver: a real compiler, a real runner, a real pytest child."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from harness.lifecycle.journal import Journal
from tests.projects import Project, existing, plan, task

pytestmark = pytest.mark.cargo

TWO = ({"name": "node1", "groups": ["web"]}, {"name": "node2", "groups": ["db"]})


def test_a_run_passes_and_leaves_nothing_behind(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=TWO, full=True)
    project.passes("test")
    report = project.report()
    assert [step.step for step in report.steps if step.outcome == "passed"] == [
        "syntax", "create", "converge", "idempotence", "verify", "destroy",
    ]  # fmt: skip
    assert report.execution_result is not None
    assert {host.host for host in report.execution_result.host_results} == {"node1", "node2"}
    assert report.compilation_result is not None
    assert existing(fake_folder) == []
    assert project.instances() == []
    folder = project.folder / ".harness/runs/latest"
    assert {"04-syntax.log", "07-converge.log", "10-verify.log"} <= {path.name for path in folder.iterdir()}
    assert "hello" in (folder / "07-converge.log").read_text()
    assert list((project.folder / ".harness/locks").iterdir()) == []


def test_a_verb_runs_what_is_missing_before_it_and_only_that(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=TWO)
    project.passes("verify")
    assert list(project.steps()) == ["syntax", "create", "prepare", "converge", "verify"]
    made = existing(fake_folder)
    assert len(made) == 2
    project.passes("verify")
    assert list(project.steps()) == ["verify"]
    project.passes("idempotence")
    assert list(project.steps()) == ["idempotence"]
    project.passes("converge")
    assert project.steps()["create"] == "skipped"
    assert existing(fake_folder) == made
    project.passes("destroy")
    assert existing(fake_folder) == []
    assert project.instances() == []
    assert project.passes("destroy").code == 0


def test_a_failed_task_fails_the_run_and_everything_is_destroyed(project: Project, fake_folder: Path) -> None:
    out = project.folder / "cleaned"
    project.scenario(
        tasks=[task("good", "echo fine"), task("bad", "echo that went wrong >&2; exit 3")],
        files={"cleanup.sh": f"touch {out}\n"},
    )
    outcome = project.run("test")
    assert outcome.code == 1
    assert "that went wrong" in outcome.text
    assert project.steps()["converge"] == "failed"
    assert out.exists()
    assert existing(fake_folder) == []


def test_one_host_that_fails_does_not_keep_the_other_from_its_end(project: Project) -> None:
    project.scenario(
        platforms=TWO,
        tasks=[task("split", "test $0 = x", ["node1"]), task("other", "echo done", ["node2"])],
    )
    assert project.run("converge").code == 1
    report = project.report()
    assert report.execution_result is not None
    results = {host.host: host.task_results for host in report.execution_result.host_results}
    assert [one.task_id for one in results["node2"]] == ["other"]
    project.passes("destroy")


def test_a_failure_of_the_cleanup_does_not_mask_the_first_one(project: Project, fake_folder: Path) -> None:
    project.scenario(tasks=[task("bad", "exit 3")], files={"cleanup.sh": "echo no broom >&2; exit 9\n"})
    outcome = project.run("test")
    assert outcome.code == 1
    assert "no broom" in outcome.text
    assert outcome.text.index("converge") < outcome.text.index("no broom")
    assert project.report().validation_report.overall_result.model_dump()["reasons"][0].startswith("converge:")
    assert existing(fake_folder) == []


def test_nothing_tested_is_no_success(project: Project) -> None:
    project.scenario(test=None, full=True)
    outcome = project.run("test")
    assert outcome.code == 3
    assert "nothing was tested" in outcome.text
    project.scenario(test="import pytest\ndef test_it(host):\n    pytest.skip('not on a Sunday')\n", full=True)
    outcome = project.run("test")
    assert outcome.code == 3
    assert "all 1 were skipped (not on a Sunday)" in outcome.text


def test_what_was_chosen_is_named_where_it_leaves_nothing(project: Project) -> None:
    project.scenario(full=True)
    outcome = project.run("test", "--", "-k", "nothing_of_that_name")
    assert outcome.code == 3
    assert "`-k nothing_of_that_name` leaves no test and no check" in outcome.text
    assert "is a file" in project.run("test", "--output", "-").text


def test_a_failed_check_fails_the_run(project: Project) -> None:
    project.scenario(test="def test_it(host):\n    assert host.run('echo no').stdout == 'yes\\n'\n", full=True)
    assert project.run("test").code == 1
    assert project.steps()["verify"] == "failed"


def test_a_second_run_that_changes_something_is_told(project: Project) -> None:
    file = project.folder / "grows"
    project.scenario(tasks=[task("grow", f"date +%N >> {file}", changed_when=True)], full=True)
    outcome = project.run("test")
    assert outcome.code == 1
    assert project.steps()["idempotence"] == "failed"
    assert "node1: task grow changed again" in outcome.text
    assert outcome.text.count("task grow changed again") == 2  # by the step and by the check, and by each once


def test_drift_that_no_task_admits_is_told(project: Project) -> None:
    file = project.folder / "state"
    copy = {"task_id": "copy", "name": "copy", "module": "copy", "hosts": ["node1"], "force": False}
    copy |= {"args": {"dest": str(file), "content": "x", "force": False}}
    del copy["force"]
    project.scenario(tasks=[copy, task("quiet", f"date +%N > {file}")], full=True)
    outcome = project.run("test")
    assert project.steps()["idempotence"] == "failed", outcome.text
    assert str(file) in outcome.text


def test_prepare_runs_once_for_each_creation(project: Project) -> None:
    out = project.folder / "prepared"
    project.scenario(files={"prepare.sh": f"echo once >> {out}\n"})
    project.passes("create")
    project.passes("converge")
    project.passes("prepare")
    assert out.read_text() == "once\n"
    project.passes("prepare", "--force")
    assert out.read_text() == "once\n" * 2
    project.passes("destroy")
    project.passes("create")
    assert out.read_text() == "once\n" * 3
    project.passes("destroy")


def test_a_prepare_plan_is_run_by_our_runner_and_not_by_the_scenarios_tags(project: Project) -> None:
    out = project.folder / "prepared"
    body = plan(task("prep", f"echo prepared > {out}"))
    project.scenario(
        tasks=[task("only", "true", tags=["x"]), task("not", "exit 1", tags=["y"])],
        provisioner={"tags": ["x"]},
        files={"prepare.json": json.dumps(body)},
    )
    project.passes("test")
    assert out.read_text() == "prepared\n"


def test_a_script_that_fails_fails_its_step_with_its_words(project: Project) -> None:
    project.scenario(files={"prepare.sh": "#!/bin/sh\necho cannot be prepared >&2\nexit 4\n"})
    outcome = project.run("test")
    assert outcome.code == 1
    assert "exit status 4" in outcome.text
    assert "cannot be prepared" in outcome.text
    assert project.steps()["prepare"] == "failed"


def test_side_effects_run_between_converge_and_verify(project: Project) -> None:
    out = project.folder / "order"
    project.scenario(
        tasks=[task("converge", f"echo converge >> {out}")],
        files={"side_effect.sh": f"echo side >> {out}\n"},
        test=f"def test_it(host):\n    assert host.file({str(out)!r}).content_string.split()[-1] == 'side'\n",
        scenario={"test_sequence": ["create", "converge", "side_effect", "verify", "destroy"]},
    )
    project.passes("test")
    assert out.read_text().split() == ["converge", "side"]


def test_a_sequence_without_destroy_still_leaves_nothing(project: Project, fake_folder: Path) -> None:
    project.scenario(scenario={"test_sequence": ["verify"]})
    project.passes("test")
    assert list(project.steps()) == ["create", "verify", "destroy"]
    assert existing(fake_folder) == []


def test_destroy_never_keeps_the_platforms_for_later_verbs(project: Project, fake_folder: Path) -> None:
    project.scenario(tasks=[task("bad", "exit 1")])
    assert project.run("test", "--destroy=passing").code == 1
    assert len(existing(fake_folder)) == 1
    assert project.passes("exec", "--", "echo", "inside").out == "inside\n"
    project.passes("destroy", "--orphans")
    assert len(existing(fake_folder)) == 1
    project.passes("destroy")
    assert existing(fake_folder) == []


def test_what_test_makes_never_meets_what_is_kept(project: Project, fake_folder: Path) -> None:
    project.scenario()
    project.passes("converge")
    kept = existing(fake_folder)
    project.passes("test")
    assert existing(fake_folder) == kept
    project.passes("verify")
    assert list(project.steps()) == ["verify"]
    project.passes("destroy")


def test_the_deadline_ends_a_run_that_hangs(project: Project, fake_folder: Path) -> None:
    project.scenario(tasks=[task("done", "true"), task("hang", "sleep 120")], scenario={"timeout_seconds": 2})
    outcome = project.run("test")
    assert outcome.code == 2
    assert "not done after 2 s in task 'hang'" in outcome.text, outcome.text
    execution = project.report().execution_result
    assert execution is not None
    assert [one.task_id for one in execution.host_results[0].task_results] == ["done"]
    assert existing(fake_folder) == []


def test_secrets_that_are_missing_are_all_named_before_anything_is_created(project: Project, fake_folder: Path) -> None:
    project.scenario(provisioner={"secrets": {"A": {"env": "NO_SUCH_A"}, "B": {"file": "no-such-file"}}})
    outcome = project.run("test")
    assert outcome.code == 2
    assert "NO_SUCH_A" in outcome.text
    assert "no-such-file" in outcome.text
    assert existing(fake_folder) == []


def test_a_secret_is_seen_by_the_task_and_by_nobody_else(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "very-s3cret-token")
    out = project.folder / "token"
    show = task("show", "echo {{ secret('TOKEN') }} | tee " + str(out))
    project.scenario(tasks=[show], provisioner={"secrets": {"TOKEN": {"env": "TOKEN"}}}, full=True)
    outcome = project.passes("test", "-vv")
    assert out.read_text() == "very-s3cret-token\n"
    assert "very-s3cret" not in outcome.text
    written = [path for path in (project.folder / ".harness").rglob("*") if path.is_file()]
    assert not [path for path in written if b"very-s3cret" in path.read_bytes()]


def test_a_task_that_fails_as_expected_passes(project: Project) -> None:
    expected = [
        {"host": "node1", "tasks": [{"task_id": "bad", "expected_result": {"Failure": {"expected_error": "no bro+m"}}}]}
    ]
    project.scenario(
        tasks=[task("bad", "echo no broom >&2; exit 3")],
        files={"expected.json": json.dumps(expected)},
        test=None,
        full=True,
    )
    project.passes("test")


def test_what_is_wrong_in_the_expectations_is_told_under_their_name(project: Project) -> None:
    project.scenario(files={"expected.json": json.dumps([{"host": "node9", "tasks": []}])})
    text = project.run("syntax").text
    assert "expected.json: 1 problem" in text and "plan.json" not in text
    assert "expected.json: expected_outcomes[0].host: the plan has no host 'node9'" in text


def test_a_task_that_fails_in_other_words_fails(project: Project) -> None:
    expected = [
        {"host": "node1", "tasks": [{"task_id": "bad", "expected_result": {"Failure": {"expected_error": "no mop"}}}]}
    ]
    project.scenario(tasks=[task("bad", "echo no broom >&2; exit 3")], files={"expected.json": json.dumps(expected)})
    assert project.run("test").code == 1


def test_a_task_that_should_fail_and_does_not_fails_verification(project: Project) -> None:
    expected = [
        {"host": "node1", "tasks": [{"task_id": "hello", "expected_result": {"Failure": {"expected_error": "no"}}}]}
    ]
    project.scenario(files={"expected.json": json.dumps(expected)}, full=True)
    assert project.run("test").code == 1
    assert project.steps()["converge"] == "passed"
    assert project.steps()["verify"] == "failed"


@pytest.mark.parametrize(
    ("stage", "words", "code"), [("run", "broom", 0), ("run", "mop", 1), ("push", "broom", 1), ("compile", "x", 1)]
)
def test_an_expected_failure_passes_only_at_its_stage_and_in_its_words(
    project: Project, fake_folder: Path, stage: str, words: str, code: int
) -> None:
    project.scenario(
        tasks=[task("bad", "echo no broom >&2; exit 3")], test=None, expect={"stage": stage, "error": words}
    )
    outcome = project.run("test")
    assert outcome.code == code, outcome.text
    assert existing(fake_folder) == []


def test_an_expected_failure_that_does_not_come_fails(project: Project) -> None:
    project.scenario(expect={"stage": "run", "error": "broom"})
    outcome = project.run("test")
    assert outcome.code == 1
    assert "the stage run passed" in outcome.text


def test_a_plan_that_should_be_refused_and_is_creates_nothing(project: Project, fake_folder: Path) -> None:
    folder = project.scenario(expect={"stage": "validate", "error": "no_such_module"}, test=None)
    body = plan({"task_id": "x", "name": "x", "module": "no_such_module", "args": {}, "hosts": ["node1"]})
    (folder / "plan.json").write_text(json.dumps(body))
    project.passes("test")
    assert project.steps()["create"] == "skipped"
    assert not fake_folder.exists() or existing(fake_folder) == []


def test_thresholds_are_enforced_with_what_was_measured(project: Project) -> None:
    project.scenario(performance={"max_binary_size_mb": 0.001, "max_execution_time_seconds": 60})
    outcome = project.run("test")
    assert outcome.code == 1
    assert "more than max_binary_size_mb 0.001" in outcome.text
    assert not project.report().validation_report.performance_validation.passed


def test_a_factor_that_is_not_measured_is_a_warning_and_with_strict_a_failure(project: Project) -> None:
    project.scenario(performance={"min_improvement_factor": 10})
    outcome = project.passes("test")
    assert "not measured" in outcome.text
    assert project.run("test", "--strict").code == 1


def test_what_is_to_be_collected_is_there_after_a_failure(project: Project) -> None:
    out = project.folder / "collected"
    out.mkdir()
    (out / "a.log").write_text("one")
    (out / "b.log").write_text("two")
    project.scenario(tasks=[task("bad", "exit 1")], collect=[f"{out}/*.log", "/no/such/file"])
    assert project.run("test").code == 1
    found = project.folder / ".harness/runs/latest/collected/node1" / out.relative_to("/")
    assert {path.name: path.read_text() for path in found.iterdir()} == {"a.log": "one", "b.log": "two"}


def test_platforms_can_be_chosen(project: Project, fake_folder: Path) -> None:
    project.scenario(platforms=TWO)
    project.passes("converge", "-p", "node2")
    assert [row.platform for row in project.instances()] == ["node2"]
    project.passes("converge")
    assert sorted(row.platform for row in project.instances()) == ["node1", "node2"]
    project.passes("destroy", "-p", "node1")
    assert [row.platform for row in project.instances()] == ["node2"]
    outcome = project.run("converge", "-p", "node3")
    assert outcome.code == 2
    assert "node3" in outcome.text
    project.passes("destroy")


def test_the_plan_is_checked_before_anything_is_created(project: Project, fake_folder: Path) -> None:
    folder = project.scenario()
    (folder / "plan.json").write_text('{"plays": [}')
    assert project.run("converge").code == 2
    assert not fake_folder.exists() or existing(fake_folder) == []


def test_a_changed_plan_is_told_when_verifying(project: Project) -> None:
    project.scenario()
    project.passes("converge")
    project.scenario(tasks=[task("hello", "echo something else")])
    assert "the plan has changed since node1 converged" in project.passes("verify").text
    project.passes("destroy")


def test_the_journal_keeps_the_results_for_a_later_verify(project: Project) -> None:
    project.scenario()
    project.passes("converge")
    row = project.instances()[0]
    assert row.converged_run is not None
    with closing(Journal.open_for_reading(project.folder / ".harness/harness.db")) as journal:
        result = journal.result(row.converged_run, "node1")
    assert result is not None
    assert [one.task_id for one in result.task_results] == ["hello"]
    assert os.environ["HARNESS_FAKE"] == "1"
    project.passes("destroy")
