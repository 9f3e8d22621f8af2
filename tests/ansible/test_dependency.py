"""Roles and collections from local paths by the real ansible-galaxy, and what is said where nothing can be fetched."""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("ansible", reason="ansible-core is not installed")

from harness.ansible.dependency import Errand, arguments_of, fetch
from harness.ansible.job import AnsibleFailed
from harness.ansible.project import Shelf, environment_of, make_known
from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import Interrupted
from harness.models.scenario import Scenario
from harness.scenario import load_scenario, load_settings

pytestmark = pytest.mark.ansible

Make = Callable[..., Scenario]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A project `ansible-role-motd` with the scenario `default`, and further files."""
    project = tmp_path / "ansible-role-motd"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ANSIBLE_ROLES_PATH", raising=False)

    def made(text: str = "", **files: str) -> Scenario:
        folder = project / "molecule" / "default"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "molecule.yml").write_text(f"platforms: [{{name: a}}]\n{text}\n")
        for name, content in files.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return load_scenario(project, "default", settings=load_settings(project))

    return made


def errand(seconds: float = 120) -> Errand:
    return Errand(Deadline(seconds), Cancellation())


def test_a_command_finds_ansible_beside_our_python(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the harness was started by its path, its virtual environment not being active."""
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    fetch(make("prerun: false\ndependency: {name: shell, command: command -v ansible-galaxy}"), errand())


def archive(folder: Path) -> Path:
    """A role as Galaxy would serve it."""
    role = folder / "source" / "other"
    for name, text in {"tasks/main.yml": "[]\n", "meta/main.yml": "galaxy_info: {}\n"}.items():
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text)
    path = folder / "other.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(role, "other")
    return path


def collection(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "galaxy.yml").write_text(
        "namespace: acme\nname: tools\nversion: 1.0.0\nreadme: README.md\nauthors: [x]\n"
    )
    (folder / "README.md").write_text("")
    return folder


def test_roles_and_collections_come_from_local_places_once(make: Make, tmp_path: Path) -> None:
    scenario = make(
        "dependency: {name: galaxy, options: {requirements-file: needs.yml, force: false}}",
        **{
            "molecule/default/requirements.yml": f"- {{src: 'file://{archive(tmp_path)}', name: other}}\n",
            "needs.yml": f"collections: [{{name: {collection(tmp_path / 'c')}, type: dir}}]\n",
        },
    )
    done = fetch(scenario, errand())
    shelf = Shelf.of(scenario)
    assert done == ["molecule/default/requirements.yml: installed", "needs.yml: installed"]
    assert (shelf.roles / "other/tasks/main.yml").is_file()
    assert (shelf.collections / "ansible_collections/acme/tools/MANIFEST.json").is_file()
    again = fetch(scenario, errand())
    assert [line.partition(": ")[2] for line in again] == ["unchanged since it was installed"] * 2


def test_nothing_is_asked_for(make: Make) -> None:
    assert fetch(make(), errand()) == []
    assert fetch(make("dependency: {enabled: false}"), errand()) == []


def test_the_projects_own_requirements_belong_to_prerun(make: Make, tmp_path: Path) -> None:
    files = {"requirements.yml": f"roles: [{{src: 'file://{archive(tmp_path)}', name: other}}]\n"}
    assert fetch(make("prerun: false", **files), errand()) == []
    assert fetch(make("", **files), errand()) == ["requirements.yml: installed"]


def test_what_ansible_galaxy_objects_to_is_told_in_its_words(make: Make) -> None:
    scenario = make("", **{"molecule/default/requirements.yml": "- nonsense: [\n"})
    with pytest.raises(AnsibleFailed, match=r"molecule/default/requirements.yml: ansible-galaxy ended with status"):
        fetch(scenario, errand())


def test_no_server_is_reached(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.ansible.dependency._PAUSES", (0.1, 0.1))
    lines: list[str] = []
    scenario = make(
        "dependency: {name: galaxy, env: {ANSIBLE_GALAXY_SERVER: 'http://127.0.0.1:9/'}}",
        **{"molecule/default/requirements.yml": "- acme.motd\n"},
    )
    with pytest.raises(AnsibleFailed, match=r"acme\.motd was NOT installed") as caught:
        fetch(scenario, Errand(Deadline(120), Cancellation(), lines.append))
    assert "no server that has it could be reached" in str(caught.value.hint)
    assert sum("once more" in line for line in lines) == 2


def test_a_command_of_the_scenarios_own(make: Make) -> None:
    command = 'echo "$MOLECULE_SCENARIO_NAME $TOKEN" > made; pwd >> made'
    written = command.replace("$", "$$")  # a single one would be filled in as molecule.yml is read
    scenario = make(f"dependency: {{name: shell, command: '{written}', env: {{TOKEN: t}}}}")
    assert fetch(scenario, errand()) == [command]
    project = scenario.ref.project
    assert (project / "made").read_text() == f"default t\n{project}\n"


def test_a_command_that_hangs_ends_with_all_it_started(make: Make) -> None:
    scenario = make("dependency: {name: shell, command: 'sleep 600 & sleep 600'}")
    with pytest.raises(AnsibleFailed, match=r"did not finish within 0\.5 seconds"):
        fetch(scenario, errand(0.5))
    called_off = Cancellation()
    threading.Timer(0.3, called_off.call).start()
    with pytest.raises(Interrupted):
        fetch(scenario, Errand(Deadline(60), called_off))


def test_the_projects_role_has_its_full_name(make: Make) -> None:
    scenario = make("", **{"meta/main.yml": "galaxy_info: {author: acme, role_name: motd}\n"})
    assert make_known(scenario) == make_known(scenario) == []
    assert (Shelf.of(scenario).roles / "acme.motd").resolve() == scenario.ref.project
    roles = environment_of(scenario)["ANSIBLE_ROLES_PATH"].split(":")
    assert roles[0] == str(Shelf.of(scenario).roles)
    assert roles[-1] == str(scenario.ref.project.parent)


@pytest.mark.parametrize(
    ("info", "check", "name", "says"),
    [
        ("{author: Jane Doe, role_name: motd}", "", "motd", True),
        ("{author: acme}", "", "acme.motd", False),
        ("{namespace: acme, role_name: Motd}", "role_name_check: 1", "acme.Motd", True),
        ("{namespace: acme, role_name: Motd}", "role_name_check: 2", "acme.Motd", False),
        ("{}", "role_name_check: 2", "ansible-role-motd", False),
    ],
)
def test_what_a_role_is_called(make: Make, info: str, check: str, name: str, says: bool) -> None:
    scenario = make(check, **{"meta/main.yml": f"galaxy_info: {info}\n"})
    assert bool(make_known(scenario)) is says
    assert (Shelf.of(scenario).roles / name).is_symlink()


def test_a_name_that_galaxy_refuses_is_an_error_on_request(make: Make) -> None:
    scenario = make("role_name_check: 0", **{"meta/main.yml": "galaxy_info: {author: Jane Doe}\n"})
    with pytest.raises(AnsibleFailed, match="Galaxy would refuse the role's name 'motd'"):
        make_known(scenario)


def test_a_projects_collection_is_found_by_its_name(make: Make) -> None:
    scenario = make("", **{"galaxy.yml": "namespace: acme\nname: tools\nversion: 1.0.0\n"})
    make_known(scenario)
    link = Shelf.of(scenario).collections / "ansible_collections/acme/tools"
    assert link.resolve() == scenario.ref.project


def test_paths_of_the_scenarios_own_come_first(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", "/of/the/user")
    monkeypatch.setenv("ANSIBLE_TIMEOUT", "7")
    found = environment_of(make("provisioner: {env: {ANSIBLE_ROLES_PATH: ../../x, A: b}}"))
    roles = found["ANSIBLE_ROLES_PATH"].split(":")
    assert roles[0] == "../../x"
    assert "/of/the/user" in roles
    assert (found["A"], found["ANSIBLE_TIMEOUT"], found["MOLECULE_SCENARIO_NAME"]) == ("b", "7", "default")


def test_options_become_arguments_as_molecule_makes_them() -> None:
    options = {"vvv": 1, "force": True, "ignore_errors": True, "no": False, "r": "x", "tag": ["a", "b"]}
    expected = ["--force", "--ignore-errors", "-r", "x", "--tag", "a", "--tag", "b", "-vvv"]
    assert arguments_of(options) == expected  # type: ignore[arg-type]
