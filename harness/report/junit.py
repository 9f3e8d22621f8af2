"""JUnit XML as CI systems read it: a suite a scenario; steps, tasks and checks are its cases.

Format: https://github.com/testmoapp/junitxml (what Jenkins, GitLab and GitHub's readers agree on).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

from harness.models.results import Failed, Skipped, TestReport
from harness.report.decisions import in_words
from harness.report.findings import checks, hosts, is_expected, scenario_of

# XML 1.0 has no way to write these characters, not even escaped (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    classname: str
    name: str
    time: float
    outcome: str = "passed"
    message: str = ""
    detail: str = ""
    out: str = ""


def junit_xml(reports: Sequence[TestReport]) -> str:
    return suites_xml([_suite(report) for report in reports])


@dataclass(frozen=True)
class Suite:
    name: str
    started: datetime
    seconds: float
    cases: Sequence[Case]


def suites_xml(suites: Sequence[Suite]) -> str:
    root = ET.Element("testsuites", name="harness")
    for suite in suites:
        _add(root, suite)
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(report: TestReport) -> Suite:
    return Suite(
        name=scenario_of(report),
        started=report.start_time,
        seconds=(report.end_time - report.start_time).total_seconds(),
        cases=[*_steps(report), *_deployments(report), *_tasks(report), *_checks(report)],
    )


def _add(root: ET.Element, suite: Suite) -> None:
    outcomes = [case.outcome for case in suite.cases]
    parent = ET.SubElement(
        root,
        "testsuite",
        name=_clean(suite.name),
        timestamp=suite.started.isoformat(timespec="seconds"),
        time=f"{suite.seconds:.3f}",
        tests=str(len(suite.cases)),
        failures=str(outcomes.count("failed")),
        errors=str(outcomes.count("error")),
        skipped=str(outcomes.count("skipped")),
    )
    for case in suite.cases:
        element = ET.SubElement(
            parent, "testcase", classname=_clean(case.classname), name=_clean(case.name), time=f"{case.time:.6f}"
        )
        if case.outcome == "skipped":
            ET.SubElement(element, "skipped", message=_clean(case.message))
        elif case.outcome != "passed":
            tag = "error" if case.outcome == "error" else "failure"
            ET.SubElement(element, tag, message=_clean(case.message)).text = _clean(case.detail or case.message)
        if case.out:
            ET.SubElement(element, "system-out").text = _clean(case.out)


def _steps(report: TestReport) -> Iterator[Case]:
    for step in report.steps:
        reason = step.reason or ""
        yield Case(
            f"{report.scenario}.steps", step.step, step.duration, step.outcome, reason.partition("\n")[0], reason
        )


def _deployments(report: TestReport) -> Iterator[Case]:
    """How each host was deployed, and why so; that a host was degraded is a warning, which JUnit knows none of."""
    for host in hosts(report):
        if host.decisions:
            told = "\n".join(in_words(decision) for decision in host.decisions)
            name = f"{host.host}: {host.deployment_method}"
            yield Case(f"{report.scenario}.deployment", name, host.execution_time, out=told)


def _tasks(report: TestReport) -> Iterator[Case]:
    for host in hosts(report):
        classname = f"{report.scenario}.{host.host}.tasks"
        for task in host.task_results:
            name = f"{task.task_id}: {task.name}" if task.name and task.name != task.task_id else task.task_id
            if isinstance(task.status, Skipped):
                yield Case(classname, name, task.execution_time, "skipped", task.status.reason)
            elif isinstance(task.status, Failed) and not task.ignored and not is_expected(report, host.host, task):
                detail = "\n".join(part for part in (task.status.error, task.output, task.stderr) if part)
                yield Case(classname, name, task.execution_time, "failed", task.status.error, detail)
            else:
                yield Case(classname, name, task.execution_time)
        if host.error:
            yield Case(classname, "run", host.execution_time, "error", host.error.partition("\n")[0], host.error)


def _checks(report: TestReport) -> Iterator[Case]:
    for host, check in checks(report):
        classname = f"{report.scenario}.{host}.checks" if host else f"{report.scenario}.checks"
        values = [
            f"{label}: {value}"
            for label, value in (("expected", check.expected), ("actual", check.actual), ("hint", check.hint))
            if value is not None
        ]
        detail = "\n".join([check.message, *values])
        yield Case(classname, check.check, check.duration, check.outcome, check.message.partition("\n")[0], detail)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
