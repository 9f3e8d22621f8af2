"""What only SSH has: whom it lets in, how it fails, and what survives what. What it shares is in the other files."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.errors import CommandTimedOut, PortTaken, TransportFailed, Unreachable
from harness.models.endpoint import Ssh
from tests import machines
from tests.machines import Machine

if sys.platform == "win32" or shutil.which("ssh-keygen") is None:
    pytest.skip("needs OpenSSH", allow_module_level=True)

pytestmark = [
    pytest.mark.ssh,
    pytest.mark.sandbox,
    pytest.mark.root,
    pytest.mark.usefixtures("cut_connections"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
host = machines.host


def reached(endpoint: Ssh) -> str:
    with open_connection(endpoint, name="node1") as connection:
        return connection.run("id -un").out.strip()


def refused(endpoint: Ssh) -> TransportFailed:
    with pytest.raises(TransportFailed) as failure:
        reached(endpoint)
    assert failure.value.message.startswith("node1: ")
    assert failure.value.hint
    return failure.value


def test_key_password_and_agent(host: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert reached(host.endpoint()) == "root"
    worker = {"user": "worker", "identities": ()}
    monkeypatch.setenv("WORKER_PASSWORD", "open sesame")
    assert reached(host.endpoint(password_env="WORKER_PASSWORD", **worker)) == "worker"
    (tmp_path / "password").write_text("open sesame\n")
    assert reached(host.endpoint(password_file=str(tmp_path / "password"), **worker)) == "worker"
    with agent(tmp_path, host.identity, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert reached(host.endpoint(identities=(), use_config=True)) == "root"
        locked = tmp_path / "locked"
        shutil.copy(host.identity, locked)
        shutil.copy(f"{host.identity}.pub", f"{locked}.pub")
        subprocess.run(["ssh-keygen", "-q", "-p", "-f", locked, "-N", "secret"], check=True, stdout=subprocess.DEVNULL)
        assert reached(host.endpoint(identities=(str(locked),))) == "root"
        other = host.endpoint(identities=(str(host.folder / "other_key"),))
        assert "does not let this user in" in refused(other).message  # although the agent's key would do
        # Nor does it where there is no other key to offer than a locked one: not the default keys either.
        (tmp_path / ".ssh").mkdir()
        shutil.copy(host.identity, tmp_path / ".ssh/id_ed25519")
        strange = tmp_path / "strange"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-f", strange, "-N", "secret"], check=True)
        for _ in range(2):
            why = refused(host.endpoint(identities=(str(strange),), use_config=True))
            assert "strange (it has a passphrase); it takes: publickey" in why.message
            assert f"`ssh-add {strange}`" in (why.hint or "")
            Path(f"{strange}.pub").unlink(missing_ok=True)


@contextlib.contextmanager
def agent(folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    place = folder / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                if place.exists():
                    break
                time.sleep(0.02)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
            subprocess.run(["ssh-add", "-q", key], check=True)
            yield
        finally:
            process.terminate()


def test_the_users_config_is_honoured(host: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    jump = f"Host jump\n HostName 127.0.0.1\n Port {host.port}\n User worker\n IdentityFile {host.identity}\n"
    (tmp_path / ".ssh" / "config").write_text(
        f"Host web\n HostName 127.0.0.1\n Port {host.port}\n User root\n"
        f" IdentityFile ~/.ssh/not-there\n IdentityFile ~/.ssh/there\n"
        f" UserKnownHostsFile {host.known_hosts}\n"
        f"{jump} UserKnownHostsFile {host.known_hosts}\n"
        f"Host behind\n HostName 127.0.0.1\n Port 22\n User root\n IdentityFile {host.identity}\n ProxyJump jump\n"
        f" UserKnownHostsFile {tmp_path / 'behind'}\n"
        f"Host piped\n HostName 127.0.0.1\n Port {host.port}\n User root\n IdentityFile {host.identity}\n"
        f" UserKnownHostsFile {host.known_hosts}\n ProxyCommand nc %h %p\n"
    )
    shutil.copy(host.identity, tmp_path / ".ssh/there")
    (tmp_path / "behind").write_text("127.0.0.1 " + (host.folder / "host_key.pub").read_text())
    assert reached(Ssh(host="web", use_config=True)) == "root"
    assert reached(Ssh(host="behind", use_config=True)) == "root"
    known_hosts = tmp_path / ".ssh/known_hosts"
    for jump, known, words in (
        (f"nobody@127.0.0.1:{host.port}", "", "is not known"),
        (f"nobody@127.0.0.1:{host.port}", host.known_hosts.read_text(), "does not let this user in"),
        ("127.0.0.1:1", "", "refuses connections"),
    ):
        known_hosts.write_text(known)
        why = refused(host.endpoint(port=22, proxy_jump=jump)).message
        assert f"port {jump.split(':')[1]} on the way to root@127.0.0.1" in why and words in why
        assert "the jump host " in why
    if shutil.which("nc"):
        assert reached(Ssh(host="piped", use_config=True)) == "root"
    assert "cannot be resolved" in refused(Ssh(host="no-such.invalid", use_config=True)).message


def test_a_stranger_and_a_changed_key_are_told_apart(host: Machine, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    unknown = refused(host.endpoint(known_hosts=str(tmp_path / "empty")))
    assert "is not known" in unknown.message
    assert "ssh-keyscan" in (unknown.hint or "")
    host.configure("HostKey /etc/harness-test/other_key")
    try:
        # sshd has both keys then: only the other one must be left.
        host.inside.run(
            "sed -i '/host_key$/d' /etc/harness-test/sshd_config; pkill -x sshd; sleep 0.2;"
            " /usr/sbin/sshd -f /etc/harness-test/sshd_config"
        )
        changed = refused(host.endpoint())
        assert "has changed" in changed.message
        assert "ssh-keygen" in (changed.hint or "")
        assert not isinstance(changed, Unreachable)
    finally:
        host.configure()


def test_who_is_not_let_in_is_told_what_was_tried(host: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = refused(host.endpoint(identities=(str(host.folder / "other_key"),)))
    assert "does not let this user in" in wrong.message
    assert "other_key" in wrong.message and "publickey" in wrong.message
    monkeypatch.setenv("WORKER_PASSWORD", "close sesame")
    password = refused(host.endpoint(user="worker", identities=(), password_env="WORKER_PASSWORD"))
    assert "the password of WORKER_PASSWORD" in password.message and "sesame" not in str(password)
    assert "not set" in refused(host.endpoint(password_env="NO_SUCH_VARIABLE")).message
    assert "cannot be read" in refused(host.endpoint(identities=("/no/such/key",))).message
    assert "is no private key" in refused(host.endpoint(identities=("/etc/passwd",))).message


def test_nobody_there(host: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = refused(host.endpoint(port=1))
    assert "refuses connections" in closed.message and isinstance(closed, Unreachable)
    host.stop()
    try:
        # The forwarder takes the connection, and finds nobody: closed before the banner, which is tried for a while.
        monkeypatch.setattr("harness.connections.ssh_link._TURNED_AWAY_SECONDS", 0.5)
        assert "before its banner" in refused(host.endpoint()).message
    finally:
        host.configure()


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"is no sshd: it says 'HTTP/1\.1 400 Bad Request'"),
        (b"", "takes connections and says nothing"),
    ],
)
def test_what_answers_is_no_sshd(says: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(says)
                while not says and client.recv(4096):
                    pass

        pool.submit(answer)
        endpoint = Ssh(host="127.0.0.1", port=server.getsockname()[1])
        with (
            open_connection(endpoint, name="node1") as connection,
            pytest.raises(TransportFailed, match=words) as failure,
        ):
            connection.run("true", timeout=1)
        assert isinstance(failure.value, Unreachable) == (says == b"")


def test_a_hundred_at_once_where_ten_may_knock(host: Machine) -> None:
    host.configure("MaxStartups 10:30:20")
    try:
        with ThreadPoolExecutor(100) as pool:
            found = list(pool.map(lambda _: reached(host.endpoint()), range(100)))
        assert found == ["root"] * 100
    finally:
        host.configure()


def test_a_cut_is_no_exit_status(host: Machine) -> None:
    with open_connection(host.endpoint(), name="node1") as connection:
        assert connection.run("true").ok
        with connection.start("echo begun; sleep 1000") as process:
            lines = process.lines()
            assert next(lines) == b"begun\n"
            timer = threading.Timer(0.2, host.cut)
            timer.start()
            assert list(lines) == []
            with pytest.raises(TransportFailed, match="the connection broke while"):
                process.wait(30)
        # What went on there was ended over a new connection, which the next command uses, too.
        assert connection.run("pgrep -x sleep").rc == 1
        timer = threading.Timer(0.2, host.cut)
        timer.start()
        with pytest.raises(TransportFailed, match="while `sleep 1000` ran"):
            connection.run("sleep 1000")
        assert connection.run("echo again").out == "again\n"


def test_a_host_that_falls_silent_holds_nobody_up(host: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.connections.shell._KILLED_SECONDS", 1.0)
    connection = open_connection(host.endpoint(), name="node1")
    try:
        assert connection.run("true").ok
        process = connection.start("sleep 1000")
        host.freeze(True)
        try:
            started = time.monotonic()
            with pytest.raises(CommandTimedOut):
                connection.run("true", timeout=1)
            with pytest.raises(Unreachable):
                connection.run("true", timeout=1)
            process.kill()
            assert time.monotonic() - started < 60
        finally:
            host.freeze(False)
        assert connection.run("echo again").out == "again\n"
    finally:
        connection.close()


def test_one_session_is_too_few(host: Machine) -> None:
    host.configure("MaxSessions 1")
    try:
        with open_connection(host.endpoint(), name="node1") as connection:
            assert connection.run("true").ok
            with pytest.raises(TransportFailed, match="opens no further session") as failure:
                connection.start("true")
            assert "MaxSessions" in (failure.value.hint or "")
    finally:
        host.configure()


def test_a_host_that_does_not_read_is_sent_little(host: Machine) -> None:
    """It would have to hold it all; asyncssh sends as much as sshd's window lets it, which is 2 MiB."""
    from harness.connections.ssh import SshConnection

    with open_connection(host.endpoint(), name="node1") as connection:
        assert isinstance(connection, SshConnection)
        stream = connection.session("exec sleep 300")
        try:
            data = bytes(2 << 20)
            stream.write(data)
            assert connection.run("true").ok  # what was sent has been sent before this
            assert 0 < len(data) - stream._channel.get_write_buffer_size() <= 1 << 20
        finally:
            stream.close()


SHELLS = [shell for shell in ("bash", "dash", "zsh", "fish", "tcsh", "csh", "rbash") if shutil.which(shell)]
"""The machine is a view of this host. CI has not all of them."""


@pytest.mark.parametrize("shell", SHELLS)
def test_any_login_shell(host: Machine, shell: str) -> None:
    path = host.inside.run(f"command -v {shell}").out.strip()
    host.inside.run(f"usermod -s {path} worker")
    host.inside.run("mkdir -p ~worker; printf 'echo hello from bashrc\\n' >~worker/.bashrc; chown -R worker ~worker")
    hard = 'it\'s "$HOME" `x` !important \\n % \t\n end'
    with open_connection(host.endpoint(user="worker"), name="node1") as connection:
        assert connection.run(["printf", "%s", hard]).out == hard
        with connection.start(["printf", "%s", hard]) as process:
            assert process.wait(30).out == hard
        with connection.start("cat; exit 3", stdin=True) as process:
            process.write(b"\0\xff")
            process.close_stdin()
            done = process.wait(30)
            assert (done.rc, done.stdout) == (3, b"\0\xff")


def test_an_account_that_may_not_run_commands(host: Machine) -> None:
    host.inside.run("usermod -s /usr/sbin/nologin worker")
    with open_connection(host.endpoint(user="worker"), name="node1") as connection:
        with pytest.raises(TransportFailed, match="no shell could be started") as failure:
            connection.run("true")
        assert "not available" in failure.value.message
        with pytest.raises(TransportFailed, match="not available"):
            connection.start("true")
    host.configure("ForceCommand internal-sftp")
    try:
        with open_connection(host.endpoint(), name="node1") as connection, pytest.raises(TransportFailed):
            connection.run("true", timeout=20)
    finally:
        host.configure()


def test_a_listener_on_its_loopback(host: Machine) -> None:
    with open_connection(host.endpoint(), name="node1") as connection:
        with connection.listen(21817) as listening:
            with connection.start(["bash", "-c", "cat </dev/tcp/127.0.0.1/21817"]) as process:
                listening.settimeout(30)
                client, _ = listening.accept()
                with client:
                    client.sendall(b"from the controller")
                assert process.wait(30).out == "from the controller"
            with pytest.raises(PortTaken, match=r"127\.0\.0\.1:21817"), connection.listen(21817):
                pass
        with connection.listen(21817):
            pass  # it was closed there, too
    host.configure("AllowTcpForwarding no")
    try:
        with open_connection(host.endpoint(), name="node1") as connection:
            with pytest.raises(TransportFailed, match="forwards no port") as failure, connection.listen(21817):
                pass
            assert "AllowTcpForwarding" in (failure.value.hint or "")
    finally:
        host.configure()


def test_its_environment_and_nothing_left(host: Machine) -> None:
    before = host.inside.run("ls -d /dev/shm/.harness-* /run/.harness-* /tmp/.harness-* 2>/dev/null").out
    with open_connection(host.endpoint(environment={"COLOUR": "it's blue"}), name="node1") as connection:
        assert connection.run('echo "$COLOUR"').out == "it's blue\n"
        with connection.start('echo "$COLOUR"') as process:
            assert process.wait(30).out == "it's blue\n"
    assert host.inside.run("ls -d /dev/shm/.harness-* /run/.harness-* /tmp/.harness-* 2>/dev/null").out == before
    assert _sessions(host.inside) == 0


def _sessions(inside: Connection) -> int:
    for _ in range(100):
        found = inside.run("pgrep -f '[s]shd: root' | wc -l").out.strip()
        if found == "0":
            break
        time.sleep(0.05)
    return int(found)
