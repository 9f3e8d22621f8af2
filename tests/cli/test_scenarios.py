"""The verbs as a person uses them: what they take, print, and end with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.models.results import TestReport
from tests.projects import Project, existing, task

TWO = ({"name": "node1", "groups": ["web"]}, {"name": "node2", "groups": ["db"]})


def test_list_has_molecules_columns_and_tells_what_is_created(project: Project) -> None:
    project.scenario(platforms=TWO)
    project.scenario("other")
    outcome = project.passes("list")
    assert outcome.out.splitlines()[0].split("  ")[0] == "Instance Name"
    assert not (project.folder / ".harness").exists()
    project.passes("create", "-p", "node2")
    rows = json.loads(project.passes("list", "--json").out)
    assert {(row["scenario"], row["instance"]): row["created"] for row in rows} == {
        ("default", "node1"): False, ("default", "node2"): True, ("other", "node1"): False,
    }  # fmt: skip
    assert len(json.loads(project.passes("list", "--json", "-s", "other").out)) == 1
    live = json.loads(project.passes("list", "--live", "--json").out)
    mine = [row for row in live if row["project"] == str(project.folder)]
    assert [(row["instance"], row["kept"], row["orphan"]) for row in mine] == [("node2", True, None)]
    project.passes("destroy")


def test_list_shows_the_others_when_one_scenario_is_broken(project: Project) -> None:
    project.scenario()
    (project.scenario("broken") / "molecule.yml").write_text("platforms: 7\n")
    outcome = project.run("list")
    assert outcome.code == 2
    assert "default" in outcome.out
    assert "broken" in outcome.err


def test_exec_ends_with_the_commands_own_status_and_keeps_its_streams_apart(project: Project) -> None:
    project.scenario(platforms=TWO)
    project.passes("create")
    outcome = project.run("exec", "-p", "node1", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (outcome.code, outcome.out, outcome.err) == (7, "out\n", "err\n")
    outcome = project.run("exec", "-p", "node1", "echo one | tr a-z A-Z; exit 3")
    assert (outcome.code, outcome.out) == (3, "ONE\n")
    assert project.run("exec", "-p", "node1", "--", "no-such-command-anywhere").code == 127
    outcome = project.run("exec", "--", "true")
    assert outcome.code == 2
    assert "node1, node2" in outcome.err
    assert "nothere" in project.run("exec", "-p", "nothere", "--", "true").err
    project.passes("destroy")


def test_exec_and_login_create_what_is_missing(project: Project, fake_folder: Path) -> None:
    project.scenario()
    outcome = project.passes("exec", "--", "echo", "inside")
    assert outcome.out == "inside\n"
    assert "create" in outcome.err
    assert len(existing(fake_folder)) == 1
    project.passes("destroy")


def test_matrix_shows_the_steps(project: Project) -> None:
    project.scenario(scenario={"test_sequence": ["create", "verify", "destroy"]})
    assert project.passes("matrix", "test").out.split() == ["default", "create", "verify", "destroy"]
    steps = json.loads(project.passes("matrix", "--json", "converge").out)
    assert steps == {"default": ["dependency", "syntax", "create", "prepare", "converge"]}
    assert json.loads(project.passes("matrix", "verify", "--json").out)["default"] == [
        "syntax", "create", "prepare", "converge", "verify",
    ]  # fmt: skip
    assert project.run("matrix", "nonsense").code == 2


def test_reset_destroys_and_forgets(project: Project, fake_folder: Path) -> None:
    project.scenario()
    project.passes("create")
    project.passes("reset")
    assert existing(fake_folder) == []
    assert project.instances() == []
    assert list((project.folder / ".harness" / "runs").iterdir()) == []


def test_a_driver_that_cannot_work_is_an_error_when_named_and_skipped_among_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_FAKE")
    project.scenario()
    named = project.run("test", "-s", "default")
    assert named.code == 2
    assert "HARNESS_FAKE=1 allows this one" in named.text
    assert project.run("test").code == 2
    for arguments in (["--all"], ["-s", "def*"]):
        outcome = project.run("test", *arguments)
        assert outcome.code == 4, outcome.text
        assert "skipped" in outcome.text


def test_options_that_exclude_one_another_are_refused(project: Project) -> None:
    project.scenario()
    for arguments in (
        ["--setup-only", "--cleanup-only"], ["--all", "-s", "default"], ["--fixture", "x", "--all"],
        ["--output", "report.doc"], ["--json", "--output", "report.json"], ["--json", "--report-format", "html"],
    ):  # fmt: skip
        assert project.run("test", *arguments).code == 2, arguments
    assert project.run("destroy", "--orphans", "--json").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["-s", "nothere"],
        ["-s", "no*"],
        ["--all", "-e", "default"],
        ["--category", "nothing"],
        ["--bogus"],
        ["-e", "nothere"],
    ],
)
def test_what_does_not_exist_is_an_error_in_words(project: Project, arguments: list[str]) -> None:
    project.scenario()
    outcome = project.run("test", *arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.text


def test_outside_of_a_project_the_verbs_say_what_to_do(project: Project) -> None:
    for verb in ("test", "create", "list", "destroy", "verify"):
        outcome = project.run(verb)
        assert outcome.code == 2
        assert "harness init scenario" in outcome.text


@pytest.mark.cargo
def test_all_scenarios_are_run_and_summed_up(project: Project) -> None:
    project.scenario("good", scenario={"category": "basic"})
    project.scenario("bad", tasks=[task("bad", "exit 1")], scenario={"category": "error"})
    outcome = project.run("test", "--all")
    assert outcome.code == 1
    assert [line.split() for line in outcome.out.splitlines()[-2:]] == [["bad", "failed"], ["good", "passed"]]
    assert project.passes("test", "--category", "basic").code == 0
    assert project.passes("test", "--all", "-e", "b*").code == 0


@pytest.mark.cargo
def test_a_report_goes_to_a_file_or_to_stdout(project: Project) -> None:
    project.scenario()
    project.passes("test", "--output", "out/report.xml")
    assert (project.folder / "out" / "report.xml").read_text().startswith("<?xml")
    outcome = project.passes("test", "--report-format", "json", "--repeat", "2")
    reports = [TestReport.model_validate(one) for one in json.loads(outcome.out)]
    assert len(reports) == 2
    assert "2 runs, all the same" in outcome.err


@pytest.mark.cargo
def test_json_on_stdout_is_the_report_and_nothing_else(project: Project) -> None:
    project.scenario()
    project.scenario("other")
    outcome = project.passes("converge", "--json")
    report = TestReport.model_validate_json(outcome.out)
    assert (report.verb, report.scenario) == ("converge", "default")
    assert "converge" in outcome.err
    assert [one["verb"] for one in json.loads(project.passes("destroy", "--all", "--json").out)] == ["destroy"] * 2


@pytest.mark.cargo
def test_what_stands_behind_the_dashes_goes_to_pytest(project: Project) -> None:
    project.scenario(test="def test_a(host):\n    assert False\n\n\ndef test_b(host):\n    pass\n", full=True)
    project.passes("test", "--", "-k", "test_b")
    assert project.run("test", "--", "--no-such-option").code == 2


@pytest.mark.cargo
def test_setup_and_cleanup_alone(project: Project, fake_folder: Path) -> None:
    project.scenario()
    project.passes("test", "--setup-only")
    assert len(existing(fake_folder)) == 1
    assert project.steps()["create"] == "passed"
    project.passes("test", "--cleanup-only")
    assert existing(fake_folder) == []


def test_doctor_tells_settings_and_where_they_come_from(project: Project) -> None:
    project.scenario()
    (project.folder / "harness.toml").write_text("[e2e_testing]\ndefault_timeout_seconds = 77\n")
    outcome = project.passes("doctor", "--settings", "--workers", "3")
    rows = {line.split()[0]: line for line in outcome.out.splitlines()}
    assert "77" in rows["e2e_testing.default_timeout_seconds"]
    assert "harness.toml:2" in rows["e2e_testing.default_timeout_seconds"]
    assert "option --workers" in rows["harness.workers"]


def test_doctor_tells_of_every_driver_and_compiler(project: Project) -> None:
    outcome = project.run("doctor", "--json")
    told = json.loads(outcome.out)
    assert outcome.code == (0 if told["usable"] else 2)
    assert {(one["kind"], one["name"]) for one in told["findings"]} >= {
        ("driver", "native"), ("driver", "fake"), ("compiler", "reference"),
    }  # fmt: skip
    assert all(problem["hint"] for one in told["findings"] for problem in one["problems"])
