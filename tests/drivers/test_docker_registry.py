"""Pulls from a real registry (Debian's docker-registry) on loopback, which a daemon speaks to without TLS."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import ImageNotFound

from harness import daemon
from harness.drivers.base import PlatformSpec, RunId, ScenarioRef
from harness.drivers.docker import DockerDriver, images, pulls
from harness.drivers.docker.options import DockerOptions
from harness.errors import ImageFailed
from tests.waiting import wait_for_port

if TYPE_CHECKING:
    from docker.api.client import APIClient

pytestmark = pytest.mark.registry

USER, PASSWORD = "tester", "correct horse"
# bcrypt of PASSWORD, the only kind of hash that the registry takes.
HTPASSWD = "tester:$2a$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"
CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/registry}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}
log: {{level: error, accesslog: {{disabled: true}}}}
"""


@dataclass(frozen=True)
class Hub:
    """A registry that wants credentials, and the image that it has."""

    url: str
    client: APIClient
    image = "things/tiny:1"

    def options(self, password: str | None = PASSWORD, **more: Any) -> DockerOptions:
        login = {"credentials": {"username": USER, "password": password}} if password else {}
        return DockerOptions.model_validate({"registry": {"url": self.url, **login}, **more})

    def forget(self) -> None:
        """Nothing of it is in the daemon any more."""
        for row in self.client.images(name=f"{self.url}/things/tiny"):
            for name in [*(row["RepoTags"] or []), *(row["RepoDigests"] or [])]:
                if name.startswith(self.url) and not name.endswith("<none>"):
                    with contextlib.suppress(ImageNotFound):  # its last tag took the digest with it
                        self.client.remove_image(name, force=True)

    def find(self, options: DockerOptions) -> tuple[str, list[str]]:
        said: list[str] = []
        found = images.Finder(self.client, Path("/nonexistent"), options, said.append).find(self.image)
        return found, said

    def publish(self, addition: bytes) -> None:
        """A new image under the same name: a program that needs nothing beside it."""
        content = Path("/sbin/ldconfig").read_bytes() + addition + os.urandom(16)  # a layer that no daemon has
        self.client.import_image_from_data(
            _tar(content), repository="harness-local/registry-test", tag="1", changes=['CMD ["/program", "--version"]']
        )
        self.client.tag("harness-local/registry-test:1", f"{self.url}/things/tiny", "1")
        login = {"username": USER, "password": PASSWORD}
        for line in self.client.push(f"{self.url}/things/tiny", "1", stream=True, decode=True, auth_config=login):
            assert "error" not in line, line
        self.forget()
        self.client.remove_image("harness-local/registry-test:1", force=True)


def _tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("program")
        member.mode = 0o755
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    problems = DockerDriver().diagnose()
    if problems:
        pytest.skip(str(problems[0]))
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "config.yml").write_text(CONFIG.format(folder=folder, port=port))
    client = daemon.connect(daemon.default_address())
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log) as process,
    ):
        try:
            wait_for_port(port)
            hub = Hub(f"127.0.0.1:{port}", client)
            hub.publish(b"first")
            yield hub
            hub.forget()
        finally:
            process.terminate()
    client.close()


def test_a_pull_tells_its_progress_and_digest(hub: Hub) -> None:
    hub.forget()
    found, said = hub.find(hub.options())
    assert said[0] == f"pulling {hub.url}/{hub.image}"
    assert any(line.endswith("Pull complete") for line in said)
    [told] = [line.split("Digest: ")[1] for line in said if "Digest" in line]
    assert pulls.digest_of(hub.client, found) == f"{hub.url}/things/tiny@{told}"
    again, said = hub.find(hub.options())
    assert (again, said) == (found, []), "what is there is not fetched again"


def test_the_digest_is_kept_with_the_container(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    found, _ = hub.find(hub.options())
    spec = PlatformSpec("node1", "docker", image=hub.image, options=hub.options(override_command=False))
    with DockerDriver().open(ScenarioRef(tmp_path, "registry", tmp_path), RunId("registry-1"), keep=False) as site:
        [instance] = site.create([spec], {})
        assert instance.record.detail["digest"] == pulls.digest_of(hub.client, found)
        [record] = [record for record in DockerDriver().instances() if record.id == instance.record.id]
        assert record.detail["digest"] == instance.record.detail["digest"]
        assert "ldconfig" in site.console(instance)


@pytest.mark.parametrize("password", ["wrong", None])
def test_credentials_that_are_wrong_or_missing(hub: Hub, password: str | None) -> None:
    hub.forget()
    with pytest.raises(ImageFailed, match=r"things/tiny:1 cannot be pulled: .*(no basic auth|unauthorized)") as caught:
        hub.find(hub.options(password))
    assert "credentials" in (caught.value.hint or "")
    hub.find(hub.options())
    with pytest.raises(ImageFailed, match="cannot be pulled"):
        hub.find(hub.options(password, pull="always"))


def test_when_the_registry_is_asked(hub: Hub) -> None:
    hub.forget()
    with pytest.raises(ImageFailed, match="`pull: never`"):
        hub.find(hub.options(pull="never"))
    old, _ = hub.find(hub.options(pull="missing"))
    keep = hub.client.tag(old, "harness-local/registry-test", "old")
    assert keep
    try:
        hub.publish(b"second")
        hub.client.tag(old, f"{hub.url}/things/tiny", "1")
        assert hub.find(hub.options(pull="missing"))[0] == old
        assert hub.find(hub.options(pull="never"))[0] == old
        new, said = hub.find(hub.options(pull="always"))
        assert new != old
        assert any("Digest" in line for line in said)
    finally:
        hub.client.remove_image("harness-local/registry-test:old", force=True)


def test_a_registry_that_is_down(hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    options = DockerOptions.model_validate({"registry": {"url": nobody}, "pull": True})
    with pytest.raises(pulls.RegistrySilent, match="connection refused"):
        hub.find(options)
    found, _ = hub.find(hub.options())
    hub.client.tag(found, f"{nobody}/things/tiny", "1")
    try:
        there, said = hub.find(options)
        assert there == found
        assert any("the local one is used" in line for line in said)
    finally:
        hub.client.remove_image(f"{nobody}/things/tiny:1", force=True)
