"""The user's ssh config means to us what it means to OpenSSH's own client; what cannot be is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.errors import TransportFailed
from harness.models.endpoint import Ssh
from tests import machines
from tests.machines import Machine

if sys.platform == "win32" or shutil.which("ssh-keygen") is None:
    pytest.skip("needs OpenSSH", allow_module_level=True)

pytestmark = [pytest.mark.ssh, pytest.mark.sandbox, pytest.mark.root, pytest.mark.usefixtures("cut_connections")]
host = machines.host
Configure = Callable[..., None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def configure(home: Path, host: Machine) -> Configure:
    """Writes the config for `web`: these lines, what a keyword is to be instead of the usual, and the rest."""

    def write(*lines: str, before: str = "", **changes: object) -> None:
        usual = {"HostName": "127.0.0.1", "Port": host.port, "User": "root", "IdentityFile": host.identity}
        values = {**usual, "UserKnownHostsFile": host.known_hosts, **changes}
        block = ["Host web", *lines, *(f"{keyword} {value}" for keyword, value in values.items())]
        (home / ".ssh/config").write_text(f"{before}\n" + "\n  ".join(block) + "\n")

    return write


def told(command: str = "id -un", **changes: object) -> str:
    endpoint = Ssh(host="web", use_config=True).model_copy(update=changes)
    with open_connection(endpoint, name="node1") as connection:
        return connection.run(command).out.strip()


def refusal() -> str:
    with pytest.raises(TransportFailed) as failure:
        told()
    return f"{failure.value.message}; {failure.value.hint}"


def key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def sign(authority: Path, public: Path, *options: str) -> bytes:
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "it", *options, public], check=True)
    return public.with_name(public.name.replace(".pub", "-cert.pub")).read_bytes()


def test_what_a_config_says(host: Machine, home: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    host.inside.run("mkdir -p ~worker/.ssh")
    host.configure("AcceptEnv COLOUR SHAPE LC_*")
    (home / "parts").mkdir()
    for name, user in (("b", "nobody"), ("a", "worker")):
        (home / "parts" / name).write_text(f"Host web\n User {user}\n")
    configure(before=f"Include {home}/parts/*")
    assert told() == "worker"
    configure(before='Match originalhost web exec "test -d /"\n User worker\nHost * !web\n User nobody')
    assert told() == "worker"
    monkeypatch.setenv("SHAPE", "round")
    monkeypatch.setenv("LC_TIME", "tlh")
    configure('SetEnv COLOUR="it\'s blue"', "SendEnv SH* LC_*")
    assert told('echo "$COLOUR $SHAPE $LC_TIME"') == "it's blue round"
    shutil.copy(host.identity, home / f"web-root-{host.port}")
    configure(
        "Ciphers aes256-ctr", "MACs hmac-sha2-256", "KexAlgorithms ecdh-sha2-nistp256", "Compression yes",
        "ProxyCommand exec 3<>/dev/null; exec nc %h %p 2>&3",
        IdentityFile="%d/%n-%r-%p",
    )  # fmt: skip
    if shutil.which("nc"):
        assert told() == "root"
    for line, words in (
        ("RemoteCommand echo", "remotecommand echo"),
        ("BindInterface lo", "bindinterface lo"),
        ("Colour blue", "Bad configuration option: colour"),
        ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "the harness has none: sntrup761"),
        ("ProxyCommand /no/such/program", "its proxy command says: sh: "),
    ):
        configure(line)
        started = time.monotonic()
        assert words in refusal()
        assert time.monotonic() - started < 15  # none of them passes by itself


def test_whose_host_key_is_believed(host: Machine, home: Path, configure: Configure) -> None:
    configure(UserKnownHostsFile="none")
    assert "is not known" in refusal()
    mixed = home / "mixed"
    mixed.write_text("garbage\n@colour x y\n|1|x|y ssh-rsa AAA\n" + host.known_hosts.read_text())
    configure(UserKnownHostsFile=f"~/.ssh/not-there {mixed}")
    assert told() == "root"
    book = home / "new" / "book"
    configure("StrictHostKeyChecking accept-new", "HashKnownHosts yes", UserKnownHostsFile=book)
    assert told() == "root"
    assert book.read_text().startswith("|1|")
    configure("StrictHostKeyChecking yes", UserKnownHostsFile=book)
    assert told() == "root"
    book.write_text(f"[127.0.0.1]:{host.port} {(host.folder / 'other_key.pub').read_text()}")
    for strictness in ("accept-new", "no"):
        configure(f"StrictHostKeyChecking {strictness}", UserKnownHostsFile=book)
        assert "has changed" in refusal()
    configure("StrictHostKeyChecking no", UserKnownHostsFile="/dev/null")
    assert told() == "root"


def test_certificates(host: Machine, home: Path, configure: Configure) -> None:
    authority, mine = key(home / "authority"), key(home / "mine")
    public = home / "host.pub"
    public.write_text((host.folder / "host_key.pub").read_text())
    host.inside.push(sign(authority, public, "-h", "-n", "127.0.0.1"), "/etc/harness-test/host_key-cert.pub")
    host.inside.push((home / "authority.pub").read_bytes(), "/etc/harness-test/authority.pub")
    files = ("/etc/harness-test/authority.pub", "/etc/harness-test/host_key-cert.pub")
    host.configure(f"TrustedUserCAKeys {files[0]}", f"HostCertificate {files[1]}")
    known = home / "known"
    known.write_text("@cert-authority * " + (home / "authority.pub").read_text())
    sign(authority, home / "mine.pub", "-n", "root")
    try:
        configure(UserKnownHostsFile=known, IdentityFile=mine)
        assert told() == "root"
        (home / "mine-cert.pub").rename(home / "elsewhere")
        configure(f"CertificateFile {home}/elsewhere", IdentityFile=mine)
        assert told() == "root"
        host.inside.push(sign(authority, public, "-h", "-n", "other"), files[1])
        host.configure(f"HostCertificate {files[1]}")
        configure(UserKnownHostsFile=known)
        assert "is not believed: Certificate principal mismatch" in refusal()
    finally:
        host.configure()


def test_agents_and_passwords(host: Machine, home: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    place = home / "agent"
    host.configure("MaxAuthTries 3", "UsePAM yes", "KbdInteractiveAuthentication yes", "PasswordAuthentication no")
    with subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL) as process:
        try:
            while not place.exists():
                time.sleep(0.02)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
            for number in range(4):
                subprocess.run(["ssh-add", "-q", key(home / f"key{number}")], check=True)
            configure()
            assert "too many keys (MaxAuthTries)" in refusal()
            configure("IdentitiesOnly yes")
            assert told() == "root"
            monkeypatch.setenv("WORKER_PASSWORD", "open sesame")
            assert told(user="worker", password_env="WORKER_PASSWORD") == "worker"
            subprocess.run(["ssh-add", "-q", host.identity], check=True)
            monkeypatch.delenv("SSH_AUTH_SOCK")
            monkeypatch.setenv("MINE", str(place))
            configure("IdentitiesOnly yes", "IdentityAgent $MINE", IdentityFile=f"{host.identity}.pub")
            assert told() == "root"
        finally:
            process.terminate()
            host.configure()
