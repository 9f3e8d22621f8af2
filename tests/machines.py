"""A machine behind sshd, for tests: a native sandbox in whose network an sshd of the test's own choice listens.

It is reached as a stranger's machine is: by an address and port of this host, which a small forwarder leads inside.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.models.endpoint import Sandbox, Ssh
from harness.sandbox.command import program
from tests.sandboxes import sandboxes

SSHD = "/usr/sbin/sshd"
CONFIG = """\
Port 22
ListenAddress 127.0.0.1
HostKey /etc/harness-test/host_key
PidFile /run/test-sshd.pid
AuthorizedKeysFile /etc/harness-test/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
"""


@dataclass
class Machine:
    """`inside` is the way in that needs no sshd. `port` of 127.0.0.1 leads to its sshd."""

    folder: Path
    inside: Connection
    enter: list[str]
    """A command whose stdin and stdout are a connection to its sshd."""
    port: int = 0
    _links: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def identity(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def configure(self, *lines: str) -> None:
        """Restart sshd with these lines before the usual ones (the first value of a keyword counts)."""
        self.inside.push("\n".join([*lines, CONFIG]).encode(), "/etc/harness-test/sshd_config")
        self.stop()
        done = self.inside.run(f"mkdir -p /run/sshd; {SSHD} -f /etc/harness-test/sshd_config -E /tmp/sshd.log")
        assert done.ok, done.err

    def stop(self) -> None:
        self.inside.run("pkill -x sshd; for n in 1 2 3 4 5 6 7 8 9; do pgrep -x sshd || break; sleep 0.1; done")

    def endpoint(self, **changes: object) -> Ssh:
        usual = Ssh(
            host="127.0.0.1",
            port=self.port,
            user="root",
            identities=(str(self.identity),),
            known_hosts=str(self.known_hosts),
        )
        return usual.model_copy(update=changes)

    def cut(self) -> int:
        """Break all connections that there are; how many there were."""
        links, self._links = self._links, []
        for link in links:
            link.kill()
            link.wait()
        return len(links)

    def freeze(self, frozen: bool) -> None:
        """Let nothing pass on what is connected now; who connects meanwhile hears nothing."""
        for link in self._links:
            link.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)
        self.inside.run(f"pkill -{'STOP' if frozen else 'CONT'} -x sshd")

    def serve(self, listener: socket.socket) -> None:
        """Lead each who connects inside, until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                self._links.append(
                    subprocess.Popen(
                        self.enter, stdin=client.fileno(), stdout=client.fileno(), stderr=subprocess.DEVNULL
                    )
                )

    def collect(self) -> None:
        self.cut()


@contextlib.contextmanager
def machine(folder: Path, name: str = "machine") -> Iterator[Machine]:
    """One with a user `worker` (password: `open sesame`) beside root."""
    if not Path(SSHD).exists():
        pytest.skip("needs OpenSSH's server")
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(sandboxes(folder, name))
        endpoint = made[name]
        assert isinstance(endpoint, Sandbox)
        inside = stack.enter_context(open_connection(endpoint, name=name))
        who = ["--pid", str(endpoint.pid), "--start-time", str(endpoint.start_time)]
        machine = Machine(folder, inside, program("relay", [*who, "--", "22"]))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        machine.port = listener.getsockname()[1]
        _keys(machine)
        machine.configure()
        threading.Thread(target=machine.serve, args=(listener,), daemon=True).start()
        stack.callback(machine.collect)
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield machine


def _keys(machine: Machine) -> None:
    for name in ("id_ed25519", "host_key", "other_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(machine.folder / name)]
        subprocess.run(command, check=True, timeout=30)
    inside = machine.inside
    inside.push((machine.folder / "host_key").read_bytes(), "/etc/harness-test/host_key", mode=0o600)
    inside.push((machine.folder / "other_key").read_bytes(), "/etc/harness-test/other_key", mode=0o600)
    inside.push((machine.folder / "id_ed25519.pub").read_bytes(), "/etc/harness-test/authorized_keys")
    host_key = (machine.folder / "host_key.pub").read_text()
    machine.known_hosts.write_text(f"[127.0.0.1]:{machine.port} {host_key}")
    secret = shlex.quote("worker:open sesame")
    made = inside.run(f"useradd -m -s /bin/bash worker && printf '%s\\n' {secret} | chpasswd")
    assert made.ok, made.err


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One for all tests of a module, which imports this."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with machine(tmp_path_factory.mktemp("machine")) as made:
        yield made
