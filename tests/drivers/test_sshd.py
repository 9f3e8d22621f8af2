"""`connection: ssh`: OpenSSH's own client reaches what the drivers made, and nothing is trusted on first use."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.deadline import Deadline
from harness.drivers import sshd
from harness.drivers.base import Driver, Instance, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.docker.options import DockerOptions
from harness.drivers.native.options import NativeOptions
from harness.errors import DriverFailed
from harness.models.endpoint import Ssh
from harness.registry import driver
from tests import docker_images

if shutil.which("ssh") is None or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
    pytest.skip("needs OpenSSH's client and server", allow_module_level=True)

pytestmark = pytest.mark.ssh


def client(endpoint: Ssh, command: str, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """OpenSSH's, which knows nothing but the endpoint."""
    words = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"]
    words += ["-o", f"UserKnownHostsFile={endpoint.known_hosts}", "-o", "GlobalKnownHostsFile=none"]
    words += ["-o", "IdentitiesOnly=yes", "-i", endpoint.identities[0], "-p", str(endpoint.port), *options]
    if endpoint.proxy_command and "ProxyUseFdpass=yes" not in options:
        words += ["-o", f"ProxyCommand={endpoint.proxy_command}"]
    return subprocess.run(
        [*words, f"{endpoint.user}@{endpoint.host}", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=stdin,
    )


def made(kind: Driver, site: Site, name: str = "node1", image: str | None = None, **options: object) -> Instance:
    wanted = kind.platform_options.model_validate({"connection": "ssh", **options})
    (instance,) = site.create([PlatformSpec(name, kind.name, image=image, options=wanted)], {})
    return instance


def ready(site: Site, instance: Instance) -> Ssh:
    endpoint = site.wait_ready(instance, Deadline(60))
    assert isinstance(endpoint, Ssh)
    return endpoint


@pytest.fixture
def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Driver, Site]]:
    from harness.cache import cache_dir

    images = cache_dir() / "images"
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    images.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / "images").symlink_to(images)
    found = driver("native")
    if found.diagnose():
        pytest.skip(str(found.diagnose()[0]))
    with found.open(ScenarioRef(tmp_path, "ssh", tmp_path), RunId("ssh-1"), keep=False) as site:
        yield found, site


@pytest.mark.sandbox
@pytest.mark.root
def test_native_reached_by_openssh(native: tuple[Driver, Site]) -> None:
    kind, site = native
    instance = made(kind, site)
    endpoint = ready(site, instance)
    done = client(endpoint, "hostname; id -un; umask; echo two >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "node1\nroot\n0022\n", "two\n")
    assert client(endpoint, "wc -c", stdin="x" * 3_000_000).stdout.strip() == "3000000"
    passed = ("-o", "ProxyUseFdpass=yes", "-o", f"ProxyCommand={endpoint.proxy_command} --fdpass")
    assert client(endpoint, "hostname", *passed).stdout == "node1\n"

    folder = Path(endpoint.identities[0]).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}

    again = site.reboot(instance, Deadline(60))
    assert isinstance(again, Ssh)
    assert (again.host, again.identities) == (endpoint.host, endpoint.identities)
    assert client(again, "hostname").stdout == "node1\n"

    (folder / "known_hosts").write_text(
        (folder / "known_hosts").read_text().replace((folder / "host_key.pub").read_text().split()[1], _other_key())
    )
    refused = client(again, "true")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr or "IDENTIFICATION HAS CHANGED" in refused.stderr
    site.destroy(instance)
    assert not folder.exists()


def _other_key() -> str:
    return sshd.key_pair()[1].split()[1]


@pytest.mark.sandbox
@pytest.mark.root
def test_two_native_platforms_are_told_apart_and_snapshots_hold_no_keys(native: tuple[Driver, Site]) -> None:
    """OpenSSH's masters go by host, port and user."""
    kind, site = native
    one, two = made(kind, site, "one"), made(kind, site, "two")
    first, second = ready(site, one), ready(site, two)
    assert (first.host, first.port) != (second.host, second.port)
    assert (client(first, "hostname").stdout, client(second, "hostname").stdout) == ("one\n", "two\n")
    snapshot = site.snapshot(one, "base")
    back = site.revert(one, snapshot, Deadline(60))
    assert isinstance(back, Ssh)
    assert client(back, "hostname").stdout == "one\n"


@pytest.mark.sandbox
@pytest.mark.systemd
@pytest.mark.image
@pytest.mark.root
def test_under_systemd_it_is_a_unit_beside_the_platforms_own_sshd(native: tuple[Driver, Site]) -> None:
    kind, site = native
    endpoint = ready(site, made(kind, site, image="debian-12", init="systemd"))
    done = client(endpoint, "systemctl is-active harness-sshd ssh; systemctl stop ssh; systemctl is-active ssh")
    assert done.stdout == "active\nactive\ninactive\n"


@pytest.mark.sandbox
@pytest.mark.root
def test_words_where_it_cannot_be(native: tuple[Driver, Site]) -> None:
    kind, site = native
    nobody = made(kind, site, ssh={"user": "no-such-user"})
    with pytest.raises(DriverFailed, match="no user 'no-such-user'"):
        site.wait_ready(nobody, Deadline(30))
    bare = made(kind, site, "bare", hide=["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"])
    with pytest.raises(DriverFailed, match="sshd") as failure:
        site.wait_ready(bare, Deadline(30))
    assert "openssh-server" in (failure.value.hint or "") or "start" in failure.value.message


@pytest.mark.parametrize("model", [DockerOptions, NativeOptions])
def test_ssh_without_its_connection_is_a_mistake(model: type[DockerOptions | NativeOptions]) -> None:
    with pytest.raises(ValidationError, match="needs `connection: ssh`"):
        model.model_validate({"ssh": {"port": 2200}})


@pytest.mark.docker
def test_docker_reached_by_openssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = driver("docker")
    if kind.diagnose():
        pytest.skip(str(kind.diagnose()[0]))
    docker_images.ensure_base()
    with kind.open(ScenarioRef(tmp_path, "ssh", tmp_path), RunId("ssh-2"), keep=False) as site:
        instance = made(kind, site, image=docker_images.BASE)
        endpoint = ready(site, instance)
        keys = Path(endpoint.identities[0]).parent
        done = client(endpoint, "hostname; exit 3")
        assert (done.returncode, done.stdout) == (3, "node1\n")
        snapshot = site.snapshot(instance, "base")
        again = site.revert(instance, snapshot, Deadline(60))
        assert isinstance(again, Ssh)
        assert client(again, "hostname").stdout == "node1\n"
        site.delete_snapshot(snapshot)
        lacking = made(kind, site, "bare", image=docker_images.BASE, volumes=["/dev/null:/usr/sbin/sshd:ro"])
        with pytest.raises(DriverFailed, match="there is none in it") as failure:
            site.wait_ready(lacking, Deadline(60))
        assert "docker/debian-12-sshd" in (failure.value.hint or "")
        site.destroy(instance)
        assert not keys.exists()
