from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.drivers.base import PlatformSpec, ScenarioRef
from harness.drivers.docker import images
from harness.drivers.docker.images import Build, Finder
from harness.drivers.docker.options import DockerOptions
from harness.errors import ImageFailed
from tests.docker_images import BASE, usual_client

if TYPE_CHECKING:
    from docker.api.client import APIClient

pytestmark = pytest.mark.docker


@pytest.fixture
def client() -> Iterator[APIClient]:
    with usual_client() as opened:
        yield opened
        for row in opened.images():
            for tag in row.get("RepoTags") or []:
                if tag.startswith("harness-local/test-"):
                    opened.remove_image(tag, force=True)


class Told(list[str]):
    """What the user is told."""

    def __call__(self, line: str) -> None:
        self.append(line)

    def builds(self) -> int:
        return sum(line.startswith("building") for line in self)


def finder(client: APIClient, project: Path, told: Told, **options: object) -> Finder:
    return Finder(client, project, DockerOptions.model_validate(options), told)


def folder(project: Path, name: str, dockerfile: str) -> Path:
    made = project / "docker" / name
    made.mkdir(parents=True)
    (made / "Dockerfile").write_text(dockerfile)
    return made


def test_built_once_for_its_content(client: APIClient, tmp_path: Path) -> None:
    made = folder(tmp_path, "test-content", f"FROM {BASE}\nCOPY file /file\n")
    (made / "file").write_text("one")
    told = Told()
    first = finder(client, tmp_path, told).find("test-content")
    assert first.startswith("harness-local/test-content:")
    assert finder(client, tmp_path, told).find("test-content") == first
    assert told.builds() == 1
    (made / "file").write_text("two")
    assert finder(client, tmp_path, told).find("test-content") != first
    (made / "file").write_text("one")
    assert finder(client, tmp_path, told).find("test-content") == first
    assert finder(client, tmp_path, told, buildargs={"A": "b"}).find("test-content") != first
    assert told.builds() == 3


def test_one_folder_on_another(client: APIClient, tmp_path: Path) -> None:
    folder(tmp_path, "test-below", f"FROM {BASE}\nENV BELOW=yes\n")
    folder(tmp_path, "test-above", "ARG BASE=test-below\nFROM ${BASE}\nENV ABOVE=yes\n")
    found = finder(client, tmp_path, Told()).find("test-above")
    environment = client.inspect_image(found)["Config"]["Env"]  # type: ignore[no-untyped-call]
    assert {"BELOW=yes", "ABOVE=yes"} <= set(environment)


def test_a_circle_is_shown(client: APIClient, tmp_path: Path) -> None:
    folder(tmp_path, "test-one", "ARG BASE=test-two\nFROM ${BASE}\n")
    folder(tmp_path, "test-two", "ARG BASE=test-one\nFROM ${BASE}\n")
    with pytest.raises(ImageFailed, match="test-one -> test-two -> test-one"):
        finder(client, tmp_path, Told()).find("test-one")


def test_a_folder_wins_over_a_local_image(client: APIClient, tmp_path: Path) -> None:
    client.tag(BASE, "test-wins", "latest")
    try:
        assert finder(client, tmp_path, Told()).find("test-wins").startswith("sha256:")
        folder(tmp_path, "test-wins", f"FROM {BASE}\n")
        assert finder(client, tmp_path, Told()).find("test-wins").startswith("harness-local/test-wins:")
    finally:
        client.remove_image("test-wins:latest")


def test_a_failed_build_tells_its_last_words(client: APIClient, tmp_path: Path) -> None:
    folder(tmp_path, "test-fails", f"FROM {BASE}\nRUN echo last words; exit 7\n")
    with pytest.raises(ImageFailed, match=r"(?s)building test-fails: .*last words.*7"):
        finder(client, tmp_path, Told()).find("test-fails")


def test_an_unreachable_registry_leaves_the_local_image(client: APIClient, tmp_path: Path) -> None:
    client.tag(BASE, "registry.invalid/test", "1")
    told = Told()
    try:
        found = finder(client, tmp_path, told, pull=True).find("registry.invalid/test:1")
        assert found.startswith("sha256:")
        assert any("could not be pulled" in line for line in told)
        with pytest.raises(ImageFailed, match=r"registry\.invalid/other:1 cannot be pulled"):
            finder(client, tmp_path, told).find("registry.invalid/other:1")
    finally:
        client.remove_image("registry.invalid/test:1")


def test_the_scenarios_own_dockerfile(client: APIClient, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.j2").write_text("FROM {{ item.image }}\nENV NAME={{ item.name }}\n")
    scenario = ScenarioRef(tmp_path, "test", tmp_path)
    options = DockerOptions(pre_build_image=False)
    found = images.resolve(client, PlatformSpec("node1", "docker", image=BASE), options, scenario, Told())
    assert "NAME=node1" in client.inspect_image(found)["Config"]["Env"]  # type: ignore[no-untyped-call]
    (tmp_path / "Dockerfile.j2").write_text("FROM {{ item.nothing }}\n")
    with pytest.raises(ImageFailed, match=r"Dockerfile\.j2"):
        images.resolve(client, PlatformSpec("node1", "docker", image=BASE), options, scenario, Told())


def test_a_template_as_molecules_own(client: APIClient, tmp_path: Path) -> None:
    """It asks which keys the platform gives, and is based on an image that no registry has."""
    (tmp_path / "Dockerfile.j2").write_text(
        "{% if item.registry is defined %}\nFROM {{ item.registry.url }}/{{ item.image }}\n"
        "{% else %}\nFROM {{ item.image }}\n{% endif %}\n"
        "{% if item.env is defined %}{% for var, value in item.env.items() %}{% if value %}\n"
        "ENV {{ var }} {{ value }}\n{% endif %}{% endfor %}{% endif %}\n"
    )
    project = tmp_path
    folder(project, "test-below", f"FROM {BASE}\nENV BELOW=yes\n")
    ref = ScenarioRef(project, "test-molecule", project)
    options = DockerOptions.model_validate({"pre_build_image": False, "env": {"COLOUR": "blue"}})
    spec = PlatformSpec("node1", "docker", image="test-below", options=options)
    built = images.resolve(client, spec, options, ref, Told())
    assert {"BELOW=yes", "COLOUR=blue"} <= set(client.inspect_image(built)["Config"]["Env"])  # type: ignore[no-untyped-call]
    plain = DockerOptions(pre_build_image=False)
    built = images.resolve(client, spec, plain, ref, Told())
    assert not [one for one in client.inspect_image(built)["Config"]["Env"] if "COLOUR" in one]  # type: ignore[no-untyped-call]


def test_the_same_files_are_the_same_context(tmp_path: Path) -> None:
    plan = Build("x", tmp_path, "FROM x\n", {})
    (tmp_path / "b").write_text("b")
    (tmp_path / "a").mkdir()
    first = images._archive(plan)
    (tmp_path / "b").touch()
    assert images._archive(plan) == first
    (tmp_path / "b").chmod(0o755)
    assert images._archive(plan) != first
