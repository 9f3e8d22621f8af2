"""Daemons that are not on the usual socket: TLS, ssh, contexts; and those that cannot be used, each with its words."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import daemon
from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.drivers.base import NotAllListed, PlatformSpec, RunId, ScenarioRef
from harness.drivers.docker import DockerDriver, daemons
from harness.drivers.docker.options import DockerOptions
from harness.lifecycle.orphans import living
from harness.models.endpoint import DaemonAddress
from tests.docker_images import BASE, ensure_base
from tests.drivers.tls_proxy import make_certificates, tls_proxy
from tests.waiting import wait_for_port

needs_docker = pytest.mark.docker


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The path of the socket of this machine's daemon, which the tests reach in other ways."""
    problems = DockerDriver().diagnose()
    if problems:
        pytest.skip(str(problems[0]))
    address = daemon.default_address().url
    if not address.startswith("unix://"):
        pytest.skip(f"the daemon has no socket here: {address}")
    ensure_base()
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    yield address.removeprefix("unix://")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def use(folder: Path, **options: object) -> None:
    """A container of the daemon that the environment or `options` name: made, used in every way, removed."""
    ref = ScenarioRef(folder, "daemons", folder)
    spec = PlatformSpec("node1", "docker", image=BASE, options=DockerOptions.model_validate(options))
    with DockerDriver().open(ref, RunId("daemons-1"), keep=False) as site:
        [instance] = site.create([spec], {})
        with open_connection(site.wait_ready(instance, Deadline(60)), name="node1") as connection:
            _use(connection, folder)
    assert [record for record in DockerDriver().instances() if record.project == folder] == []


def _use(connection: Connection, folder: Path) -> None:
    assert connection.run("echo out; echo err >&2; exit 3", stdin=b"unread").rc == 3
    content = hashlib.sha256(b"seed").digest() * 50_000  # 1.6 MB: more than any buffer on the way
    assert connection.run("cat", stdin=content).stdout == content
    connection.push(content, "/tmp/content", mode=0o600)
    assert connection.read("/tmp/content") == content
    with connection.start(["sh", "-c", "cat; echo the end"], stdin=True) as process:
        process.write(b"first\n")
        lines = process.lines()
        assert next(lines) == b"first\n", "before its stdin is closed"
        process.write(b"last\n")
        process.close_stdin()
        assert list(lines) == [b"last\n", b"the end\n"], "after it"
    with connection.start(["sleep", "1000"]) as process:
        process.signal(15)
        assert process.wait(20).rc == 128 + 15
    with connection.start(["sh", "-c", "read line; echo got $line"], pty=True) as process:
        process.write(b"typed\n")
        assert b"got typed" in b"".join(process.lines())


@needs_docker
def test_tls(usual: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_proxy(certificates, usual) as port:
        address = f"tcp://127.0.0.1:{port}"
        paths = {f"{name}_path": str(certificates / f"{name}.pem") for name in ("cert", "key")}
        use(tmp_path, docker_host=address, cacert_path=str(certificates / "ca.pem"), tls_verify=True, **paths)
        monkeypatch.setenv("DOCKER_HOST", address)
        [problem] = DockerDriver().diagnose()
        assert "TLS" in f"{problem.message} {problem.hint}", "without certificates"
        monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        assert DockerDriver().diagnose() == []
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        [problem] = DockerDriver().diagnose()
        assert "ca.pem" in problem.message or "certificate" in problem.message


@pytest.fixture
def ssh_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real sshd on loopback; the `ssh` that is found on PATH knows its key and ours, as a user's own config does."""
    program, ssh = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"), shutil.which("ssh")
    if program is None or ssh is None or os.geteuid() != 0:
        pytest.skip("needs root, and OpenSSH's server and client")
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True, timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = [f"HostKey {tmp_path}/host", f"AuthorizedKeysFile {tmp_path}/user.pub", "StrictModes no", "UsePAM no"]
    (tmp_path / "sshd_config").write_text("\n".join([*server, "ListenAddress 127.0.0.1", "MaxStartups 100"]) + "\n")
    client = f"IdentityFile {tmp_path}/user\nIdentitiesOnly yes\nUserKnownHostsFile {tmp_path}/known\nBatchMode yes\n"
    (tmp_path / "ssh_config").write_text(client + "LogLevel ERROR\n")
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {tmp_path}/ssh_config "$@"\n')
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    log = (tmp_path / "sshd.log").open("wb")
    command = [program, "-D", "-e", "-f", str(tmp_path / "sshd_config"), "-p", str(port)]
    with log, subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL) as process:
        wait_for_port(port)
        yield f"ssh://root@127.0.0.1:{port}"
        process.terminate()


def test_one_that_somebody_chose_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where this user has never had a platform on it."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    unasked: list[str] = []
    living(unasked, drivers=["docker"])
    [told] = unasked
    assert told.startswith(f"docker: no daemon answers at unix://{tmp_path}/none.sock")


@needs_docker
@pytest.mark.ssh
def test_ssh(usual: str, ssh_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("docker") is None:
        pytest.skip("the daemon's machine needs the docker command")
    monkeypatch.setenv("DOCKER_HOST", ssh_address)
    use(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", ssh_address.replace("root@", "no-such-user@"))
    [problem] = DockerDriver().diagnose()
    assert "no-such-user" in problem.message
    assert "Permission denied" in problem.message
    assert problem.hint is not None
    assert "usermod" not in problem.hint, "it is sshd that refuses, not the daemon's socket"


@needs_docker
def test_context(usual: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docker context create` lays it out; DOCKER_CONTEXT beats config.json, DOCKER_HOST beats both."""
    link = tmp_path / "daemon.sock"
    link.symlink_to(usual)
    home = tmp_path / "config"
    meta = home / "contexts" / "meta" / hashlib.sha256(b"other").hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"Host": f"unix://{link}", "SkipTLSVerify": False}
    (meta / "meta.json").write_text(json.dumps({"Name": "other", "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert daemon.default_address().url == f"unix://{link}"
    use(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert daemon.default_address().url == "tcp://10.0.0.1:2375"
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.delenv("DOCKER_CONTEXT")
    (home / "config.json").write_text('{"currentContext": "other"}')
    assert daemon.default_address().url == f"unix://{link}"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert daemon.default_address().url != f"unix://{link}"


@needs_docker
def test_one_daemon_that_is_gone_does_not_hide_what_is_on_the_others(usual: str, tmp_path: Path) -> None:
    daemons.remember(DaemonAddress(url=f"unix://{tmp_path}/gone.sock"))
    ref = ScenarioRef(tmp_path, "daemons", tmp_path)
    with DockerDriver().open(ref, RunId("daemons-2"), keep=False) as site:
        [instance] = site.create([PlatformSpec("node1", "docker", image=BASE, options=DockerOptions())], {})
        with pytest.raises(NotAllListed, match=r"gone\.sock") as caught:
            DockerDriver().instances()
        assert instance.record.id in [record.id for record in caught.value.found]
        assert "rm " in (caught.value.hint or "")


def test_a_daemon_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(tmp_path / "old.sock", '{"ApiVersion": "1.38", "MinAPIVersion": "1.12"}'):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/old.sock")
        [problem] = DockerDriver().diagnose()
    assert "too old" in problem.message
    assert "20.10" in (problem.hint or "")


def test_something_else_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(tmp_path / "other.sock", "hello"):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
        [problem] = DockerDriver().diagnose()
    assert f"no daemon answers at unix://{tmp_path}/other.sock" in problem.message


@contextlib.contextmanager
def answering(door: Path, body: str) -> Iterator[None]:
    """Something on a socket that gives everybody the same answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with socketserver.ThreadingUnixStreamServer(str(door), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield
        server.shutdown()
        thread.join()
