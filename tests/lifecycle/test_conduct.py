"""A runner that says more than it does, from the command line to every report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.models.results import TestReport
from tests.projects import Project
from tests.tools import static_program

__all__ = ["static_program"]

pytestmark = [pytest.mark.sandbox]

LIAR = r"""
#include <stdio.h>
#include <time.h>
int main(void) {
    char now[40]; time_t t = time(0);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime(&t));
    printf("{\"type\":\"task\",\"task_id\":\"issue\",\"status\":\"changed\",\"start\":\"%s\","
           "\"duration\":0.001}\n", now);
    printf("{\"type\":\"report\",\"host\":\"node1\",\"plan_id\":\"\",\"payload_sha256\":\"\",\"ok\":0,\"changed\":1,"
           "\"failed\":0,\"skipped\":0,\"start\":\"%s\",\"duration\":0.01,\"exit_code\":0}\n", now);
    return 0;
}
"""
FINDING = "node1::issue::conduct.traces"


@pytest.fixture
def liar(project: Project, static_program: Path) -> Project:
    """A scenario whose only runner reports to have written a file, and has not."""
    problems = registry.driver("native").diagnose()
    if problems:
        pytest.skip("; ".join(str(problem) for problem in problems))
    write: dict[str, Any] = {"task_id": "issue", "module": "copy", "hosts": ["node1"]}
    project.scenario(
        tasks=[{**write, "args": {"dest": "/opt/issue", "content": "{{ inventory_hostname }}\n"}}],
        driver="native",
        provisioner={
            "compiler": {"name": "command", "command": ["sh", "-c", "cc -static -o {output} runner.c; : {plan}"]}
        },
        files={"runner.c": LIAR},
    )
    return project


def test_it_is_told_everywhere(liar: Project) -> None:
    outcome = liar.run("test", "--report-format", "junit", "--output", "report.xml")
    assert outcome.code == 1, outcome.text
    assert "1 of 12 checks failed" in outcome.text
    assert f"{FINDING}" in outcome.text
    assert "as before the run, times and all: /opt/issue: does not exist" in outcome.text
    assert liar.steps()["checks"] == "failed"
    assert liar.steps()["converge"] == "passed"
    cases = {case.get("name"): case for case in ET.parse(liar.folder / "report.xml").iter("testcase")}
    assert cases[FINDING].find("failure") is not None
    found = [check for check in liar.report().validation_report.suite if check.outcome == "failed"]
    assert [(check.check, check.expected) for check in found] == [(FINDING, "a change where it reports one")]
    liar.run("test", "--report-format", "html", "--output", "report.html")
    assert FINDING in (liar.folder / "report.html").read_text()


def test_which_are_made(liar: Project) -> None:
    liar.passes("test", "--checks", "none")
    assert _conduct(liar.report()) == []
    liar.passes("test", "--checks", "order,times")
    assert _conduct(liar.report()) == ["node1::conduct.order", "node1::conduct.times"]
    outcome = liar.run("test", "--checks", "ordr")
    assert (outcome.code, "there is no check 'ordr'" in outcome.err) == (2, True)
    file = liar.folder / "molecule" / "default" / "molecule.yml"
    file.write_text(
        f"{file.read_text()}\n".replace("verifier:\n", "verifier:\n  checks: {level: full, without: {traces: ours}}\n")
    )
    liar.passes("converge")
    assert "node1::conduct.tree" in _conduct(liar.report())
    assert "node1::conduct.traces" not in _conduct(liar.report())
    file.write_text(file.read_text().replace("{traces: ours}", "{tracs: ours}").replace("level: full", "level: ful"))
    wrong = liar.run("converge")
    assert wrong.code == 2
    assert "molecule.yml:" in wrong.err
    assert "there is no check 'tracs'" in wrong.err
    assert "there is no check 'ful'" in wrong.err
    file.write_text(file.read_text().replace("{tracs: ours}", "{}").replace("level: ful", "level: none"))
    liar.passes("destroy")


def _conduct(report: TestReport) -> list[str]:
    return sorted(check.check for check in report.validation_report.suite if "conduct." in check.check)
