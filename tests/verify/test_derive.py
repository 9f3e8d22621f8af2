"""Checks from the plan: what is promised is looked at, and nobody is accused falsely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from harness.models.plan import Plan
from harness.models.results import Failed, HostExecutionResult, Skipped, Success, TaskExecutionResult
from harness.verify.derive import derive, unchecked, watched
from harness.verify.known import Known, static_prefix
from harness.verify.plan_checks import unique_ids

Entry = dict[str, Any]


def task(module: str, /, task_id: str = "", **args: Any) -> Entry:
    """Keywords of the task itself begin with an underscore: `_loop`, `_when`."""
    keywords = {name[1:]: args.pop(name) for name in list(args) if name.startswith("_")}
    return {"task_id": task_id, "name": task_id, "module": module, "args": args, "hosts": ["node1"], **keywords}


def plan_of(*tasks: Entry, variables: Mapping[str, Any] | None = None, check_mode: bool = False) -> Plan:
    for number, entry in enumerate(tasks):
        entry["task_id"] = entry["task_id"] or f"t{number}"
    return Plan.model_validate(
        {
            "metadata": {"plan_id": "p", "check_mode": check_mode},
            "hosts": ["node1"],
            "hosts_vars": {"node1": dict(variables or {})},
            "plays": [{"play_id": "p", "batches": [{"batch_id": "b", "tasks": list(tasks)}]}],
        }
    )


def results_of(plan: Plan, **records: dict[str, Any]) -> list[HostExecutionResult]:
    """Every task succeeded with a change, unless `records` says otherwise."""
    found = []
    for entry in plan.plays[0].batches[0].tasks:
        fields: dict[str, Any] = {"status": Success(), "changed": True, "module": entry.module}
        found.append(TaskExecutionResult(task_id=entry.task_id, **(fields | records.get(entry.task_id, {}))))
    return [HostExecutionResult(host="node1", task_results=found, deployment_method="binary", execution_time=0.0)]


def ids(*tasks: Entry, variables: Mapping[str, Any] | None = None, **records: dict[str, Any]) -> list[str]:
    """The derived checks without their host: `t0::FileMode[/x]`."""
    plan = plan_of(*tasks, variables=variables)
    made = unique_ids(derive(plan, results_of(plan, **records), {}))
    return sorted(name.removeprefix("node1::").replace("plan.", "") for name in made)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (task("file", path="/a", state="directory", mode="0750", owner="www", group="www"),
         ["FileGroup[/a]", "FileKind[/a]", "FileMode[/a]", "FileOwner[/a]"]),
        (task("ansible.builtin.file", dest="/a/", state="absent"), ["FileExists[/a]"]),
        (task("file", path="/a", state="link", src="b", mode="0777"), ["LinkTarget[/a]"]),
        (task("file", path="/a", state="touch"), ["FileExists[/a]"]),
        (task("copy", dest="/a", content="x\n", mode="0600"), ["FileContent[/a]", "FileKind[/a]", "FileMode[/a]"]),
        (task("copy", dest="/a", content_b64="AP8="), ["FileContent[/a]", "FileKind[/a]"]),
        (task("template", dest="/a", content="{{ x }}", mode="644"), ["FileKind[/a]", "FileMode[/a]"]),
        (task("lineinfile", path="/a", line="x=1", regexp="^x="), ["LinePresent[/a x=1]"]),
        (task("lineinfile", path="/a", regexp="^x=", state="absent"), ["LineAbsent[/a ^x=]"]),
        (task("service", name="web", state="started", enabled=True), ["ServiceEnabled[web]", "ServiceRunning[web]"]),
        (task("systemd", unit="web.service", state="stopped", enabled="no"),
         ["ServiceDisabled[web.service]", "ServiceStopped[web.service]"]),
        (task("apt", name=["tree", "jq=1.6*"], state="present"), ["PackageInstalled[jq]", "PackageInstalled[tree]"]),
        (task("package", name="tree,jq", state="absent"), ["PackageAbsent[jq]", "PackageAbsent[tree]"]),
        (task("user", name="app", uid=1200, shell="/bin/sh"), ["UserExists[app]"]),
        (task("group", name="app", state="absent"), ["GroupAbsent[app]"]),
    ],
)  # fmt: skip
def test_what_a_module_promises(entry: Entry, expected: list[str]) -> None:
    assert ids(entry) == [f"t0::{name}" for name in expected]


@pytest.mark.parametrize("module", ["get_url", "community.general.archive"])
def test_what_was_fetched_or_packed_is_a_file(module: str) -> None:
    made = {"artifacts_created": ["/opt/a"]}
    entry = task(module, dest="/opt/a", url="http://host/a", mode="0600")
    assert ids(entry, t0=made) == ["t0::FileKind[/opt/a]", "t0::FileMode[/opt/a]"]
    assert ids(entry) == (["t0::FileExists[/opt/a]"] if module == "get_url" else [])


def test_what_an_archive_held_is_looked_for() -> None:
    told = {"artifacts_created": ["/opt/app", "/opt/app/run", "/opt/application"]}
    expected = ["FileExists[/opt/app/run]", "FileKind[/opt/app]"]
    assert ids(task("unarchive", dest="/opt/app/", src="/a.tar"), t0=told) == [f"t0::{name}" for name in expected]


@pytest.mark.parametrize(
    "entry",
    [
        task("copy", dest="/a", content="hello {{ name }}"),
        task("copy", dest="/a", content={"json": 1}),
    ],
)
def test_content_that_is_not_literal_is_left_out(entry: Entry) -> None:
    assert ids(entry) == ["t0::FileKind[/a]"]


@pytest.mark.parametrize(
    "entry",
    [
        task("file", path="/a", mode="u=rw,go=r"),
        task("file", path="/a", mode=420),
        task("file", path="/a", mode=0.5),
        task("file", path="/a", mode="{{ mode | default('0644') }}"),
        task("file", path="/a", mode="0644", follow=False),
    ],
)
def test_modes_that_are_not_certain_are_left_out(entry: Entry) -> None:
    assert ids(entry) == ["t0::FileExists[/a]"]


@pytest.mark.parametrize(
    "entry",
    [
        task("file", path="/x/{{ unknown }}", state="touch"),
        task("file", path="relative", state="touch"),
        task("file", path="/a", state="{{ state }}"),
        task("file", path="/a", state="touch", _failed_when=["false"]),
        task("file", path="/a", state="touch", _check_mode=True),
        task("file", path="/a", state="touch", delegate_to="node2") | {"delegate_to": "node2"},
        task("file", path="/{{ item }}", state="touch", _loop="{{ names }}"),
        task("file", path="/{{ item }}", state="touch", _loop=["a", "b"], _when=["item == 'a'"]),
        task("lineinfile", path="/a", line="a\nb"),
        task("lineinfile", path="/a", line=r"\1x", regexp="(a)", backrefs=True),
        task("lineinfile", path="/a", line="{{ unknown }}"),
        task("package", name="{{ packages }}"),
        task("service", name="{{ unknown }}", state="started"),
        task("systemd", daemon_reload=True),
        task("systemd", name="web", state="started", scope="user"),
        task("command", cmd="touch /a"),
        task("debug", msg="/a"),
    ],
)
def test_what_is_not_certain_is_left_out(entry: Entry) -> None:
    assert ids(entry) == []


def test_only_what_succeeded_promises_anything() -> None:
    touch = task("file", path="/a", state="touch")
    assert ids(touch, t0={"status": Failed(error="no"), "ignored": True}) == []
    assert ids(touch, t0={"status": Skipped(reason="when")}) == []
    assert derive(plan_of(touch), [], {}) == []


def test_check_mode_promises_nothing() -> None:
    plan = plan_of(task("file", path="/a", state="touch"), check_mode=True)
    assert derive(plan, results_of(plan), {}) == []


def test_variables_of_the_host_are_known_and_what_a_task_sets_is_not() -> None:
    touch = task("file", path="{{ root }}/{{ app.name }}", state="touch")
    variables = {"root": "/opt/{{ inventory_hostname }}", "app": {"name": "web"}}
    assert ids(dict(touch), variables=variables) == ["t0::FileExists[/opt/node1/web]"]
    assert ids(task("set_fact", root="/srv"), dict(touch), variables=variables) == []
    assert ids(task("stat", path="/", _register="root"), dict(touch), variables=variables) == []
    assert ids(dict(touch) | {"vars": {"root": "/srv"}}, variables=variables) == ["t0::FileExists[/srv/web]"]


def test_a_literal_loop_is_followed() -> None:
    entry = task("file", path="/{{ item.name }}", state="directory", mode="{{ item.mode }}",
                 _loop=[{"name": "a", "mode": "0700"}, {"name": "b", "mode": "0711"}])  # fmt: skip
    assert ids(entry) == ["t0::FileKind[/a]", "t0::FileKind[/b]", "t0::FileMode[/a]", "t0::FileMode[/b]"]


WRITE = ("copy", {"dest": "/opt/app/conf", "content": "x\n", "mode": "0644"})
ALL = ["t0::FileContent[/opt/app/conf]", "t0::FileKind[/opt/app/conf]", "t0::FileMode[/opt/app/conf]"]


def after(*later: Entry, **records: dict[str, Any]) -> list[str]:
    """What is left of the promises of writing /opt/app/conf after these tasks."""
    return [name for name in ids(task(WRITE[0], **WRITE[1]), *later, **records) if name.startswith("t0::")]


@pytest.mark.parametrize(
    "later",
    [
        task("file", path="/opt/app/conf", state="absent"),
        task("file", path="/opt/app", state="absent"),
        task("file", path="/opt/{{ unknown }}", state="absent"),
        task("file", path="{{ unknown }}", state="absent"),
        task("copy", dest="/opt/app/conf", content="y"),
        task("copy", dest="/opt/app", src="/srv/app", remote_src=True),
        task("template", dest="/opt/app/", src="/srv/conf.j2"),
        task("command", cmd="rm /opt/app/conf"),
        task("command") | {"args": {"_raw_params": "rm -r /opt"}},
        task("command", argv=["rm", "/opt/app/conf"]),
        task("shell", cmd="rm /opt/app/*"),
        task("shell", cmd="rm -f $TARGET"),
        task("shell", cmd="rm -f `cat list`"),
        task("shell", cmd="rm app/conf", chdir="/opt"),
        task("shell", cmd="cd /opt/app && echo y>conf"),
        task("command", cmd="{{ unknown }}"),
        task("unarchive", dest="/opt", src="/srv/app.tar"),
        task("user", name="app", state="absent", remove=True),
        task("a.strange.module", anything="goes"),
    ],
)
def test_later_tasks_win(later: Entry) -> None:
    assert after(later) == []


def test_later_tasks_win_even_when_they_fail() -> None:
    assert after(task("command", cmd="rm /opt/app/conf"), t1={"status": Failed(error="no"), "ignored": True}) == []


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (task("file", path="/opt/app/conf", mode="0600"), ALL[:2]),
        (task("file", path="/opt", state="directory", recurse=True, mode="0700"), ALL[:2]),
        (task("lineinfile", path="/opt/app/conf", line="y"), ALL[1:]),
        (task("command", cmd="ls /opt/application"), ALL),
        (task("command", cmd="touch /opt/app/conf", creates="/opt/app/conf"), []),
        (task("file", path="/opt/app/other", state="absent"), ALL),
        (task("debug", msg="/opt/app/conf"), ALL),
        (task("stat", path="/opt/app/conf"), ALL),
    ],
)
def test_what_a_later_task_leaves(later: Entry, left: list[str]) -> None:
    assert after(later) == left


def test_a_command_that_was_not_needed_changes_nothing() -> None:
    command = task("command", cmd="rm /opt/app/conf", removes="/nothing")
    assert after(command, t1={"changed": False}) == ALL
    # What the plan itself declares is no evidence.
    assert after(command | {"changed_when": [False]}, t1={"changed": False}) == []


def test_a_script_that_the_plan_wrote_is_read() -> None:
    script = task("copy", dest="/srv/run.sh", content="#!/bin/sh\nrm /opt/app/conf\n", mode="0755")
    assert after(script, task("command", cmd="/srv/run.sh")) == []
    harmless = task("copy", dest="/srv/run.sh", content="#!/bin/sh\ntouch /srv/done\n", mode="0755")
    assert after(harmless, task("command", cmd="/srv/run.sh")) == ALL


def test_a_service_may_write_to_what_its_unit_names() -> None:
    unit = "[Service]\nExecStart=/usr/bin/app --log /opt/app/conf\n"
    write = task("copy", dest="/etc/systemd/system/app.service", content=unit)
    assert after(write, task("service", name="app", state="started")) == ALL[1:]


def test_a_path_made_again_is_not_absent() -> None:
    gone = task("file", path="/opt/app", state="absent")
    assert ids(dict(gone), task("file", path="/opt/app/x", state="directory")) == ["t1::FileKind[/opt/app/x]"]
    assert ids(dict(gone), task("command", cmd="mkdir -p /opt/app/x")) == []


def test_a_line_replaced_later_is_not_expected() -> None:
    first = task("lineinfile", path="/a", line="x=1", regexp="^x=")
    assert ids(dict(first), task("lineinfile", path="/a", line="x=2", regexp="^x=")) == ["t1::LinePresent[/a x=2]"]
    assert ids(dict(first), task("lineinfile", path="/a", line="y=2", regexp="^y=")) == [
        "t0::LinePresent[/a x=1]",
        "t1::LinePresent[/a y=2]",
    ]
    assert ids(dict(first), task("lineinfile", path="/a", state="absent", line="x=1")) == ["t1::LineAbsent[/a x=1]"]
    assert ids(dict(first), task("lineinfile", path="/a", line="z", regexp="{{ unknown }}")) == []


def test_services_stopped_and_packages_removed_later() -> None:
    start = task("service", name="web", state="started")
    assert ids(dict(start), task("service", name="web", state="stopped")) == ["t1::ServiceStopped[web]"]
    assert ids(dict(start), task("command", cmd="systemctl stop web.service")) == []
    install = task("package", name="tree")
    assert ids(dict(install), task("command", cmd="apt-get remove -y tree")) == []
    assert ids(dict(install), task("package", name="other", state="absent")) == ["t1::PackageAbsent[other]"]
    gone = task("apt", name="tree", state="absent")
    assert ids(dict(gone), task("apt", autoremove=True)) == ["t0::PackageAbsent[tree]"], "that installs nothing"
    assert ids(dict(gone), task("apt", upgrade="dist")) == []


def test_a_package_at_a_version_is_covered_by_the_check_of_the_package() -> None:
    plan = plan_of(task("apt", name=["tree=2.*", "jq/bookworm"]))
    results = results_of(plan)
    assert unchecked(plan, results, derive(plan, results, {})) == []


def test_what_no_check_covers_is_named() -> None:
    plan = plan_of(
        task("copy", dest="/a", content="x"),
        task("command", cmd="make-b"),
        task("service", name="web", state="started"),
        task("command", cmd="make-c"),
    )
    results = results_of(plan, t1={"artifacts_created": ["/b"]}, t3={"status": Failed(error="no")})
    assert unchecked(plan, results, derive(plan, results, {})) == ["node1::t1: /b"]
    assert unchecked(plan, results, []) == ["node1::t0: /a", "node1::t1: /b", "node1::t2: web"]
    assert unchecked(None, results, []) == ["node1::t1: /b"]


def test_watched_for_drift() -> None:
    plan = plan_of(
        task("copy", dest="{{ root }}/a", content="x"),
        task("file", path="/l/{{ item }}", state="touch", _loop=["x", "y"]),
        task("service", name="web", state="started"),
        variables={"root": "/opt"},
    )
    [result] = results_of(plan, t0={"artifacts_created": ["/opt/a", "/opt/b"]})
    assert watched(plan, "node1", result) == (["/l/x", "/l/y", "/opt/a", "/opt/b"], ["web"])
    assert watched(plan, "node2", None) == ([], [])


def test_a_large_plan_is_quick_enough() -> None:
    """A thousand files and commands that name them: work grows with the plan, not with its square."""
    entries = [task("copy", dest=f"/srv/{n % 10}/{n}", content="x") for n in range(1000)]
    entries += [task("command", cmd=f"rm /srv/{n % 10}/{n}") for n in range(500)]
    assert len(ids(*entries)) == 2 * 500


@given(some.text(max_size=30))
def test_text_without_marks_is_itself(text: str) -> None:
    known = Known({"a": "b"})
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        assert known.text(text) == text
    assert known.text("{{ a }}" + text.replace("{", "")) == "b" + text.replace("{", "")


def test_what_cannot_be_known() -> None:
    known = Known({"a": "b", "self": "{{ self }}", "n": 3, "yes": True, "list": [1]})
    assert known.text("{{ n }}") == "3"
    for text in ("{{ a | upper }}", "{{ missing }}", "{{ self }}", "{% if a %}x{% endif %}", "{{ yes }}", "{{ list }}"):
        assert known.text(text) is None, text
    assert static_prefix("/opt/{{ x }}/y") == "/opt"
    assert static_prefix("/{{ x }}") == "/"
