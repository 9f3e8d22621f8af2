"""What only containers have; what every driver promises is in test_conformance."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from harness import daemon
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import Instance, NotAllListed, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.docker import DockerDriver, daemons, labels
from harness.drivers.docker.options import DockerOptions
from harness.errors import DriverFailed, HarnessError, NotReady
from harness.models.endpoint import DaemonAddress, Docker
from tests.docker_images import BASE, usual_client

if TYPE_CHECKING:
    from docker.api.client import APIClient

needs_docker = pytest.mark.docker


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[APIClient]:
    with usual_client() as opened:
        # What is made without a run's lock would be an orphan for a test beside this one.
        monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
        yield opened


@pytest.fixture
def site(client: APIClient, tmp_path: Path) -> Iterator[Site]:
    ref = ScenarioRef(tmp_path, "tests", tmp_path)
    with DockerDriver().open(ref, RunId("docker-1"), keep=False) as opened:
        yield opened
    assert [record for record in DockerDriver().instances() if record.project == tmp_path] == []


def spec(name: str = "node1", **options: Any) -> PlatformSpec:
    return PlatformSpec(name, "docker", image=BASE, options=DockerOptions.model_validate(options))


@contextmanager
def connected(site: Site, instance: Instance) -> Iterator[Connection]:
    with open_connection(site.wait_ready(instance, Deadline(60)), name=instance.name) as connection:
        yield connection


@needs_docker
def test_options_reach_the_container(site: Site, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_text("from outside")
    wanted = spec(
        env={"COLOUR": "blue", "NUMBER": 3},
        hostname="other",
        user="nobody",
        volumes=["./shared:/shared:ro"],
        tmpfs=["/scratch:size=1m"],
        memory="64m",
        cpus=0.5,
        shm_size="8m",
        ulimits=["nofile:1000:2000"],
        sysctls={"net.ipv4.ip_unprivileged_port_start": 7},
        etc_hosts={"far.example": "10.1.2.3"},
        capabilities=["NET_ADMIN"],
        cap_drop=["CHOWN"],
        labels={"mine": "yes"},
    )
    [instance] = site.create([wanted], {})
    with connected(site, instance) as connection:
        # The hard limit: runc's own runtime may raise the soft one to it (Go since 1.19).
        script = (
            "echo $COLOUR $NUMBER $(hostname) $(id -un) $(cat /shared/file) $(ulimit -Hn)"
            " $(cat /proc/sys/net/ipv4/ip_unprivileged_port_start) $(getent hosts far.example)"
        )
        assert connection.run(script).out.split() == (
            ["blue", "3", "other", "nobody", "from", "outside", "2000", "7", "10.1.2.3", "far.example"]
        )
        assert connection.run("touch /shared/new").rc != 0
        sizes = connection.run("df -k --output=size /scratch /dev/shm").out.split()[1:]
        assert sizes == ["1024", "8192"]
        bounding = int(connection.run("sed -n 's/^CapBnd:\\t//p' /proc/self/status").out, 16)
        assert bounding >> 12 & 1, "CAP_NET_ADMIN"
        assert not bounding & 1, "CAP_CHOWN"
        idle = connection.run("cat /proc/[0-9]*/comm").out.split()
        assert "sleep" not in idle, "a process of ours would be taken for one that a plan has started"


@needs_docker
def test_platforms_reach_each_other_by_name_and_no_other_run(site: Site, client: APIClient, tmp_path: Path) -> None:
    one, two = site.create([spec("one"), spec("two")], {})
    other = ScenarioRef(tmp_path, "other", tmp_path)
    with (
        connected(site, one) as connection,
        connected(site, two),
        DockerDriver().open(other, RunId("docker-1"), keep=False) as elsewhere,
    ):
        [stranger] = elsewhere.create([spec("stranger")], {})
        assert connection.run(["getent", "hosts", "two"]).rc == 0
        assert connection.run(["getent", "hosts", "stranger"]).rc != 0
        elsewhere.destroy(stranger)
    names = [record.id for record in DockerDriver().instances() if record.project == tmp_path]
    assert sorted(names) == sorted([one.record.id, two.record.id])


@needs_docker
def test_networks_that_a_scenario_names_are_its_own(site: Site, client: APIClient, tmp_path: Path) -> None:
    back = {"name": "back", "internal": True, "ipam_config": [{"subnet": "10.213.7.0/29", "gateway": "10.213.7.1"}]}
    web = spec("web", docker_networks=[back], networks=[{"name": "back", "aliases": ["front"]}], links=["db:database"])
    db = spec("db", networks=[{"name": "back", "ipv4_address": "10.213.7.5"}], purge_networks=True)
    made = site.create([web, db, spec("other")], {})
    with connected(site, made[0]) as on_web, connected(site, made[1]) as on_db, connected(site, made[2]) as on_other:
        assert on_web.run(["getent", "hosts", "db"]).out.split()[0] == "10.213.7.5"
        assert on_db.run(["getent", "hosts", "front"]).rc == 0
        assert on_db.run(["getent", "hosts", "other"]).rc != 0, "it left the scenario's own network"
        assert on_other.run(["getent", "hosts", "web"]).rc == 0
        assert on_other.run(["getent", "hosts", "db"]).rc != 0
    mine = {"label": [f"{labels.PREFIX}project={tmp_path}"]}
    [named] = [row for row in client.networks(filters=mine) if row["Name"].endswith(".back")]
    assert named["Internal"]
    assert named["Name"] != "back", "another run may have one of its own"
    snapshot = site.snapshot(made[1], "before")
    with open_connection(site.revert(made[1], snapshot, Deadline(60)), name="db") as on_db:
        assert on_db.run(["getent", "hosts", "front"]).rc == 0, "it came back to its places"
    site.delete_snapshot(snapshot)
    for instance in made:
        site.destroy(instance)
    assert client.networks(filters=mine) == []


@needs_docker
def test_a_link_is_a_name_for_one_platform_alone(site: Site) -> None:
    one, two, three = site.create([spec("one", links=["two:database"]), spec("two"), spec("three")], {})
    with connected(site, one) as here, connected(site, two), connected(site, three) as elsewhere:
        assert here.run(["getent", "hosts", "database"]).out.split()[0] == here.run("getent hosts two").out.split()[0]
        assert elsewhere.run(["getent", "hosts", "database"]).rc != 0


@needs_docker
def test_a_network_that_is_there_is_joined_and_left_alone(site: Site, client: APIClient) -> None:
    name = "harness-test-of-a-stranger"
    client.create_network(name)
    try:
        [instance] = site.create([spec(networks=[{"name": name}, {"name": "bridge"}])], {})
        joined = set(client.inspect_container(instance.record.id)["NetworkSettings"]["Networks"])
        assert joined == {labels.network_name(site.scenario, instance.record.run), name, "bridge"}
        site.partition(instance, cut=True)
        assert client.inspect_container(instance.record.id)["NetworkSettings"]["Networks"] == {}
        site.partition(instance, cut=False)
        assert set(client.inspect_container(instance.record.id)["NetworkSettings"]["Networks"]) == joined
        site.destroy(instance)
        assert [row["Name"] for row in client.networks(names=[name])] == [name]
    finally:
        client.remove_network(name)


@needs_docker
def test_host_network_cannot_be_cut(site: Site) -> None:
    [instance] = site.create([spec(network_mode="host")], {})
    with pytest.raises(DriverFailed, match="no network of its own"):
        site.partition(instance, cut=True)


@needs_docker
def test_mounts(site: Site, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_text("from outside")
    wanted = spec(
        mounts=[
            {"type": "bind", "source": "./shared", "target": "/shared", "read_only": True},
            {"type": "tmpfs", "target": "/scratch", "tmpfs_size": 1048576, "tmpfs_mode": "700"},
            {"target": "/volume"},
        ]
    )
    [instance] = site.create([wanted], {})
    with connected(site, instance) as connection:
        assert connection.run("cat /shared/file").out == "from outside"
        assert connection.run("touch /shared/new").rc != 0
        assert connection.run("df -k --output=size /scratch | tail -1; stat -c %a /scratch").out.split() == [
            "1024",
            "700",
        ]
        assert connection.run("echo x >/volume/file").rc == 0
    snapshot = site.snapshot(instance, "mounts")
    assert set(snapshot.missing) >= {"/shared", "/scratch", "/volume"}
    site.delete_snapshot(snapshot)


@needs_docker
def test_port_is_published_and_one_in_use_is_said_so(site: Site, client: APIClient) -> None:
    [instance] = site.create([spec(published_ports=["127.0.0.1::80"])], {})
    [binding] = client.inspect_container(instance.record.id)["NetworkSettings"]["Ports"]["80/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    taken = f"127.0.0.1:{binding['HostPort']}:80"
    with pytest.raises(DriverFailed, match="second: a published port is in use"):
        site.create([spec("second", published_ports=[taken])], {})
    assert [record.platform for record in DockerDriver().instances() if record.id != instance.record.id] == []


@needs_docker
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"capabilities": ["NO_SUCH"]}, "there is no such capability"),
        ({"user": "no-such-user"}, "no-such-user"),
        ({"network_mode": "no-such-network"}, "no-such-network"),
    ],
)
def test_refusals_have_words_and_leave_nothing(site: Site, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DriverFailed, match=f"node1: .*{words}"):
        site.create([spec(**options)], {})


@needs_docker
def test_image_that_is_nowhere(site: Site) -> None:
    with pytest.raises(HarnessError, match=r"registry\.invalid/none:1 cannot be pulled") as caught:
        site.create([PlatformSpec("node1", "docker", image="registry.invalid/none:1")], {})
    assert caught.value.hint


@needs_docker
def test_container_that_ends_tells_its_last_words(site: Site) -> None:
    [other] = site.create([spec("other", command="/no/such/program")], {})
    with pytest.raises(NotReady, match=r"other: .*/no/such/program"):
        while True:
            site.wait_ready(other, Deadline(5))
    [instance] = site.create([spec(command=["sh", "-c", "echo last words; exit 3"])], {})
    with pytest.raises(NotReady, match=r"node1: .*status 3\).*last words"):
        while True:
            site.wait_ready(instance, Deadline(5))
    assert "last words" in site.console(instance)


@needs_docker
def test_connection_outlives_a_restart(site: Site, client: APIClient) -> None:
    [instance] = site.create([spec()], {})
    with connected(site, instance) as connection:
        connection.run("echo kept >/kept")
        client.restart(instance.record.id, timeout=1)
        assert connection.run("cat /kept").out == "kept\n"
        site.stop(instance)
        with pytest.raises(HarnessError, match=r"node1: the container .* is exited"):
            connection.run("true")


@needs_docker
def test_strangers_are_left_alone(site: Site, client: APIClient) -> None:
    [instance] = site.create([spec()], {})
    snapshot = site.snapshot(instance, "mine")
    name = f"{instance.record.id}x"
    [image] = [row["Id"] for row in client.images(filters={"label": [f"{labels.SNAPSHOT}=mine"]})]
    # It takes over all labels of an image of ours, and has a similar name.
    stranger = client.create_container(image, ["sleep", "1000"], name=name)["Id"]
    try:
        assert [record.id for record in DockerDriver().instances() if record.run == instance.record.run] == [
            instance.record.id
        ]
        DockerDriver().reap(instance.record)
        assert client.inspect_container(stranger)["Name"] == f"/{name}"
    finally:
        client.remove_container(stranger, force=True)
        site.delete_snapshot(snapshot)


@needs_docker
def test_forgotten_network_is_found_and_reaped(client: APIClient, tmp_path: Path) -> None:
    ref, run = ScenarioRef(tmp_path, "tests", tmp_path), RunId("docker-2")
    name = labels.network_name(ref, run)
    told = labels.make(ref, run, name=name, platform=labels.LEFTOVER_NETWORK, kept=False, network=name)
    client.create_network(name, labels=told)
    [record] = [record for record in DockerDriver().instances() if record.project == tmp_path]
    assert (record.id, record.platform) == (name, labels.LEFTOVER_NETWORK)
    DockerDriver().reap(record)
    DockerDriver().reap(record)
    assert client.networks(names=[name]) == []


def test_a_daemon_that_is_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    [problem] = DockerDriver().diagnose()
    assert "there is no such socket" in problem.message
    assert problem.hint
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(NotAllListed, match="no such socket") as chosen:
        DockerDriver().instances()
    assert "rm " not in (chosen.value.hint or ""), "nothing was ever made there"
    daemons.remember(daemon.default_address())
    with pytest.raises(NotAllListed, match="no such socket") as remembered:
        DockerDriver().instances()
    assert f"rm {daemons.path_of(daemon.default_address())}" in (remembered.value.hint or "")
    endpoint = Docker(container="0" * 64, daemon=DaemonAddress(url=f"unix://{tmp_path}/none.sock"))
    with (
        open_connection(endpoint, name="node1") as connection,
        pytest.raises(HarnessError, match="node1: no daemon answers"),
    ):
        connection.run("true")


def test_context_names_the_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"currentContext": "nowhere"}')
    with pytest.raises(daemon.DaemonFailed, match="context"):
        daemon.default_address()
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert daemon.default_address() == DaemonAddress(url="tcp://10.0.0.1:2375")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"capabilites": ["X"]}, "capabilites"),
        ({"published_ports": ["a:b"]}, "published_ports"),
        ({"ulimits": ["nofile"]}, "NAME:SOFT"),
        ({"memory": "much"}, "not a size"),
        ({"init": "systemd", "command": "sleep 1"}, "PID 1"),
        ({"network_mode": "host", "networks": [{"name": "x"}]}, "exclude each other"),
        ({"override_command": False, "command": "sleep 1"}, "override_command"),
        ({"kill_signal": "SIGUSR1"}, "kill_signal[^$]*stop_signal"),
        ({"force_kill": False}, "force_kill[^$]*only true"),
        ({"container_default_behavior": "compatibility"}, "no_defaults"),
        ({"networks_cli_compatible": False}, "own network is joined first"),
        ({"pull": "sometimes"}, "always"),
        ({"purge_networks": True}, "leaves none"),
        ({"links": ["db"], "network_mode": "host"}, "links"),
        ({"mounts": [{"type": "bind", "target": "/x"}]}, "needs a `source`"),
        ({"mounts": [{"target": "/x", "tmpfs_size": "1m"}]}, "type: tmpfs"),
        ({"mounts": [{"target": "x"}]}, "target"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DockerOptions.model_validate(options)


def test_options_as_molecule_writes_them() -> None:
    options = DockerOptions.model_validate(
        {
            "command": "sleep infinity",
            "published_ports": ["0.0.0.0:8053:53/udp", "8053:53/tcp", 80],
            "exposed_ports": ["53/udp"],
            "devices": ["/dev/fuse:/dev/fuse:rwm"],
            "tmpfs": {"/tmp": "", "/run": "size=1m"},
            "sysctls": {"net.core.somaxconn": 1024},
            "memory": 512,
            "pull": True,
            "etc_hosts": "{'host1.example.com': '10.3.1.5'}",
            "command_handling": "compatibility",
            "networks_cli_compatible": True,
            "container_default_behavior": "no_defaults",
            "registry": {"url": "registry.example.com", "credentials": {"username": "u", "password": "secret"}},
        }
    )
    assert options.tmpfs == ["/tmp", "/run:size=1m"]
    assert options.memory == "512m"
    assert options.pull == "always"
    assert options.etc_hosts == {"host1.example.com": "10.3.1.5"}
    assert "secret" not in repr(options)


def test_help_needs_no_sdk() -> None:
    program = "import sys; import harness.drivers.docker; sys.exit('docker' in sys.modules)"
    import sys

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
