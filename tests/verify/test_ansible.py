"""testinfra's Ansible side in the verify child: its runner, its specs and its module, over our own connections."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from harness.models.endpoint import Local
from harness.models.verification import AnsibleFolders, VerifyHost, VerifyJob, VerifyOutcome
from harness.verify import run_verify
from harness.verify.ansible import command_options
from tests.verify.conftest import JobMaker

TESTS = """
    import os
    import pytest
    import testinfra
    from testinfra.utils.ansible_runner import AnsibleRunner

    RUNNER = AnsibleRunner(os.environ["MOLECULE_INVENTORY_FILE"])
    testinfra_hosts = RUNNER.get_hosts("all")

    def test_old_style(host):
        assert host.backend.get_hostname() in ("node1", "node2")
        assert host.backend.NAME == "harness"
        assert host.run("echo a").stdout == "a\\n"

    def test_patterns():
        assert RUNNER.get_hosts("web") == ["node1"]
        assert RUNNER.get_hosts("node*") == ["node1", "node2"]
        assert AnsibleRunner(os.environ["MOLECULE_INVENTORY_FILE"]).get_host("node1").run("true").rc == 0
        assert testinfra.get_host("ansible://node2").run("true").rc == 0

    def test_variables(host):
        found = host.ansible.get_variables()
        assert found["inventory_hostname"] == host.backend.get_hostname()
        assert "all" in found["group_names"]
        if "web" in found["group_names"]:
            assert (found["port"], found["color"]) == (80, "red")
            assert found["groups"]["web"] == ["node1"]

    def test_modules(host):
        assert host.ansible("command", "echo foo", check=False)["stdout"] == "foo"
        with pytest.raises(host.ansible.AnsibleException) as caught:
            host.ansible("command", "echo foo")
        assert caught.value.result["msg"] == "Skipped. You might want to try check=False"
        with pytest.raises(host.ansible.AnsibleException) as caught:
            host.ansible("command", "false", check=False)
        assert caught.value.result["rc"] == 1
        said = host.ansible("debug", "msg={{ given }}-{{ inventory_hostname }}", extra_vars={"given": "x"})
        assert said["msg"] == f"x-{host.backend.get_hostname()}"
        facts = host.ansible("include_vars", "file=defaults.yml")["ansible_facts"]
        assert facts == {"of_the_role": True}

    def test_an_option_that_does_not_exist(host):
        with pytest.raises(Exception, match="knows no option 'nonsense'"):
            host.ansible("ping", nonsense=1)
"""

SPECS = """
    testinfra_hosts = ["{spec}"]

    def test_name(host):
        assert host.backend.get_hostname() in "{expected}".split()
        assert host.backend.NAME == "harness"
"""


def verify(make_job: JobMaker, tmp_path: Path, tests: str, **fields: object) -> VerifyOutcome:
    job: VerifyJob = make_job(**fields)
    (job.directory / "test_it.py").write_text(textwrap.dedent(tests))
    return run_verify(job, workdir=tmp_path / "work")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """As Molecule lays it out."""
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    reached = f"{{ansible_connection: harness, ansible_python_interpreter: {sys.executable}}}"
    (folder / "ansible_inventory.yml").write_text(
        f"all: {{hosts: {{node1: {reached}, node2: {reached}}}}}\n"
        "web: {hosts: {node1: {color: red}}}\ndb: {hosts: {node2: }}\n"
    )
    (folder / "group_vars" / "web").write_text("port: 80\n")
    return folder


@pytest.mark.ansible
def test_unmodified_tests_of_molecule(make_job: JobMaker, tmp_path: Path, inventory: Path) -> None:
    pytest.importorskip("ansible", reason="ansible-core is not installed")
    (tmp_path / "scenario" / "defaults.yml").write_text("of_the_role: true\n")
    outcome = verify(
        make_job,
        tmp_path,
        TESTS,
        env={"MOLECULE_INVENTORY_FILE": str(inventory / "ansible_inventory.yml")},
        ansible=AnsibleFolders(inventory=inventory),
        options={"v": 1},
        cwd=tmp_path / "scenario",
    )
    log = (tmp_path / "work" / "verify.log").read_text()
    assert (outcome.failed, outcome.errors, outcome.passed) == (0, 0, 9), log


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("ansible://all", "node1 node2"),
        ("ansible://web", "node1"),
        ("ansible://node2?force_ansible=true", "node2"),
        ("ansible://no*?sudo=false", "node1 node2"),
        ("docker://node1", "node1"),
    ],
)
def test_specs_of_testinfras_lead_to_our_connections(
    make_job: JobMaker, tmp_path: Path, spec: str, expected: str
) -> None:
    outcome = verify(make_job, tmp_path, SPECS.format(spec=spec, expected=expected))
    log = (tmp_path / "work" / "verify.log").read_text()
    assert (outcome.failed, outcome.errors, outcome.passed) == (0, 0, len(expected.split())), log


def test_a_pattern_that_means_nobody_is_skipped(make_job: JobMaker, tmp_path: Path) -> None:
    outcome = verify(make_job, tmp_path, SPECS.format(spec="ansible://nobody", expected=""))
    assert (outcome.tests_run, outcome.skipped) == (0, 1)


def test_variables_without_ansible(make_job: JobMaker, tmp_path: Path) -> None:
    """A scenario that compiles its plan has variables, too."""
    here = Local(directory=str(tmp_path))
    hosts = [VerifyHost(platform="node1", groups=["all", "web"], endpoint=here, variables={"port": 80})]
    tests = """
        def test_variables(host):
            found = host.ansible.get_variables()
            assert (found["port"], found["group_names"]) == (80, ["all", "web"])
    """
    outcome = verify(make_job, tmp_path, tests, hosts=hosts)
    assert (outcome.passed, outcome.failed, outcome.errors) == (1, 0, 0)


def test_options_as_the_command_has_them() -> None:
    assert command_options({}) == ["--check"]
    given = {"check": False, "become": True, "become_user": "u", "diff": True, "extra_vars": {"a": 1}, "verbose": 2}
    assert command_options(given) == ["--become", "--become-user", "u", "--diff", "--extra-vars", '{"a": 1}', "-vv"]
