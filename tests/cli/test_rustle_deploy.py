"""The real rustle-deploy, which HARNESS_RUSTLE_DEPLOY names, and what the harness finds in it (docs/compilers.md)."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.compile import host_target
from harness.compile.base import CompileSettings
from harness.compile.rustle import VARIABLE, RustleDeploy, RustleDeployOptions
from harness.connections import open_connection
from harness.models.results import CompilationResult
from tests.compile.conftest import payload_of
from tests.projects import Project
from tests.sandboxes import sandboxes

# Of the module, not of its tests: none of them is what --require-markers asks for where there is no rustle-deploy.
if not os.environ.get(VARIABLE):
    pytest.skip(f"{VARIABLE} names no rustle-deploy", allow_module_level=True)

pytestmark = [pytest.mark.rustle_deploy, pytest.mark.sandbox]
COMPILER = {"name": "rustle-deploy", "optimization": "debug"}
TASKS = [
    {"module": "file", "args": {"path": "/srv/app", "state": "directory"}},
    {"module": "shell", "args": {"cmd": "test -e /srv/app/motd || hostname >/srv/app/motd"}},
    {"module": "debug", "args": {"msg": "hello"}},
    {"module": "file", "args": {"path": "/srv/app/link", "src": "motd", "state": "link"}},
]
SEEN = "def test_it(host):\n    assert host.file('/srv/app/motd').content_string.strip() in ('web1', 'web2')\n"


def tasks_of(*tasks: dict[str, Any], hosts: tuple[str, ...] = ("web1",)) -> list[dict[str, Any]]:
    return [{"task_id": f"t{at}", "hosts": list(hosts), **one} for at, one in enumerate(tasks)]


@pytest.mark.parametrize(
    ("driver", "platform"),
    [
        ("native", {}),
        ("native", {"connection": "ssh"}),
        pytest.param("docker", {"image": "debian:12"}, marks=pytest.mark.docker),
    ],
)
def test_a_plan_on_two_platforms(project: Project, driver: str, platform: dict[str, Any]) -> None:
    """One build for both, and each is heard by itself, with its network cut off where the driver cuts it."""
    project.scenario(
        tasks=tasks_of(*TASKS, hosts=("web1", "web2")),
        platforms=[{"name": name, **platform} for name in ("web1", "web2")],
        driver=driver,
        provisioner={"compiler": COMPILER},
        test=SEEN,
        scenario={"test_sequence": ["destroy", "syntax", "create", "converge", "verify", "destroy"]},
    )
    project.passes("test")
    report = project.report()
    assert report.execution_result is not None
    assert len(report.compilation_results) == 1
    for host in report.execution_result.host_results:
        assert (host.results, host.error) == ("report", None)
        assert [task.changed for task in host.task_results] == [True, True, False, True]


def test_each_of_several_at_once_is_of_its_plan() -> None:
    """`prove`: with the marks of its own plan in it, whichever call had the build folder before."""
    made: dict[str, CompilationResult] = {}

    def compile_it(text: str) -> None:
        compiler = RustleDeploy(RustleDeployOptions(optimization="debug"))
        made[text] = compiler.compile(payload_of(text), host_target(), CompileSettings())

    texts = [f"text-{os.urandom(8).hex()}" for _ in range(3)]
    threads = [threading.Thread(target=compile_it, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text in texts:
        binary = made[text].binary_path.read_bytes()
        assert [other for other in texts if other.encode() in binary] == [text]


NOT = "def test_it(host):\n    assert not host.file('{}').exists\n"


@dataclass(frozen=True)
class Case:
    """`words` stand in what the harness says, and its exit status is 1 unless another is given."""

    words: str
    tasks: list[dict[str, Any]]
    handlers: list[dict[str, Any]] = field(default_factory=list)
    code: int = 1
    test: str = "def test_it(host):\n    pass\n"
    validate: bool = True
    step: str = "verify"
    """Which step shows it, where converge does not."""


def file_task(**args: Any) -> dict[str, Any]:
    return {"module": "file", "args": args}


def command(text: str, **keywords: Any) -> dict[str, Any]:
    return {"module": "command", "args": {"cmd": text}, **keywords}


FOUND = {
    "conditions-are-ignored": Case("conduct.conditions", [command("touch /srv/never", when="false")], validate=False),
    "handlers-never-run": Case(
        "conduct.handlers",
        [command("touch /srv/x", notify=["again"])],
        [{"handler_id": "again", "name": "again", **command("touch /srv/again")}],
        validate=False,
    ),
    "goes-on-after-a-failure": Case("t0 failed, and then t1 ran", [command("exit 3"), command("touch /srv/after")]),
    "templates-stay-as-they-are": Case(
        "'web1'",
        [command("echo {{ inventory_hostname }} >/srv/name")],
        test="def test_it(host):\n    assert host.file('/srv/name').content_string.strip() == 'web1'\n",
        validate=False,
    ),
    "package-installs-nothing": Case("plan.PackageInstalled[sl]", [{"module": "package", "args": {"name": "sl"}}]),
    "copy-always-changes": Case(
        "task t1 changed again",
        [
            {"module": "shell", "args": {"cmd": "test -e /srv/a || echo a >/srv/a"}},
            {"module": "copy", "args": {"src": "/srv/a", "dest": "/srv/b", "remote_src": True}},
        ],
        step="idempotence",
    ),
    "a-mode-always-changes": Case(
        "task t0 changed again", [file_task(path="/srv/a", state="directory", mode="0755")], step="idempotence"
    ),
    "a-wrong-link-stays": Case(
        "plan.LinkTarget",
        [
            command("touch /srv/old; ln -s /srv/old /srv/link"),
            file_task(path="/srv/link", src="/srv/new", state="link"),
        ],
    ),
    "no-parents-are-made": Case("No such file or directory", [file_task(path="/srv/a/b", state="directory")]),
    "command-is-a-shell": Case("/srv/home", [command("echo $HOME >/srv/home")], test=NOT.format("/srv/home")),
    "a-missing-file-is-made": Case(
        "/srv/none", [file_task(path="/srv/none", state="file")], test=NOT.format("/srv/none")
    ),
    "a-hash-ends-the-plan": Case("error", [{"module": "debug", "args": {"msg": "# of hosts"}}], code=2, validate=False),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_the_harness_finds(project: Project, name: str) -> None:
    case = FOUND[name]
    folder = project.scenario(
        tasks=tasks_of(*case.tasks),
        platforms=[{"name": "web1"}],
        driver="native",
        provisioner={"compiler": COMPILER, "plan": {"path": "plan.json", "validate": case.validate}},
        test=case.test,
        scenario={"test_sequence": ["destroy", "create", "converge", case.step, "destroy"]},
    )
    plan = json.loads((folder / "plan.json").read_text())
    plan["plays"][0]["handlers"] = case.handlers
    (folder / "plan.json").write_text(json.dumps(plan))
    file = folder / "molecule.yml"
    file.write_text(file.read_text().replace("derive_from_plan: false", "derive_from_plan: true"))
    outcome = project.run("test")
    assert outcome.code == case.code, outcome.text
    assert case.words in outcome.text, outcome.text


def test_a_runner_that_is_ended_says_it_succeeded(tmp_path: Path) -> None:
    """`ended-with-success`: after SIGTERM its exit status is 0, in the midst of its plan."""
    compiler = RustleDeploy(RustleDeployOptions(optimization="debug", results="exit-status"))
    payload = payload_of("x").model_copy(deep=True)
    task = payload.plays[0].tasks[0].model_copy(update={"module": "command", "args": {"cmd": "sleep 30"}})
    payload.plays[0].tasks[0] = task
    made = compiler.compile(payload, host_target(), CompileSettings())
    with sandboxes(tmp_path, "web1") as endpoints, open_connection(endpoints["web1"], name="web1") as connection:
        connection.push(made.binary_path, "/srv/runner", mode=0o755)
        script = "/srv/runner & pid=$!; sleep 1; kill -TERM $pid; wait $pid; echo ended with $?"
        assert "ended with 0" in connection.run(script, timeout=20).out
