"""A socket here that hears whoever connects to a platform's own loopback."""

from __future__ import annotations

import socket
import sys
from contextlib import AbstractContextManager

import pytest

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.errors import PortTaken, Unsupported
from harness.models.endpoint import Docker

if sys.platform == "win32":
    pytest.skip("needs POSIX", allow_module_level=True)

from harness.connections.carrying import carried
from harness.connections.posix import PosixConnection
from harness.connections.ssh import SshConnection


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:  # the local connection's loopback is this host's
        return int(free.getsockname()[1])


def forwarded(connection: Connection, port: int) -> AbstractContextManager[socket.socket]:
    """By sshd, or else by a program there."""
    assert isinstance(connection, PosixConnection)
    return connection.listen(port) if isinstance(connection, SshConnection) else carried(connection, port)


def test_a_listener_on_its_loopback(connection: Connection, port: int) -> None:
    ask = ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo asked >&3; cat <&3"]
    for _ in range(2):  # it is closed there, too
        with connection.listen(port) as listening:
            listening.settimeout(30)
            with connection.start(ask) as process:
                with listening.accept()[0] as client:
                    client.settimeout(30)
                    assert client.recv(100) == b"asked\n"
                    client.sendall(b"heard")
                assert process.wait(30).out == "heard"
            with pytest.raises(PortTaken), connection.listen(port):
                pass
    assert not connection.run(f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null").ok


def test_several_connect_at_once(connection: Connection, port: int) -> None:
    """One that is silent holds up nobody, much goes either way, and each end of a connection is told at the other."""
    size = 1 << 20
    much = f"head -c {size} /dev/zero >&3; head -c {size} <&3 | wc -c; cat <&3"
    with forwarded(connection, port) as listening:
        listening.settimeout(30)
        silent = connection.start(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3; echo gone"])
        with (
            silent,
            listening.accept()[0],
            connection.start(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; {much}"]) as process,
        ):
            with listening.accept()[0] as client:
                client.settimeout(30)
                left = size
                while left:
                    left -= len(client.recv(left))
                client.sendall(bytes(size))
            assert process.wait(60).out == f"{size}\n"
            with connection.start(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"]) as short:
                assert short.wait(30).ok
                with listening.accept()[0] as client:
                    client.settimeout(30)
                    assert client.recv(1) == b""
            unheard = connection.start(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3; echo gone"])
            listening.accept()[0].close()
            with unheard:
                assert unheard.wait(30).out == "gone\n"
    assert not connection.run(f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null").ok


@pytest.mark.docker
def test_where_python_is_missing(docker_endpoint: Docker, port: int) -> None:
    with open_connection(docker_endpoint, name="node1") as connection:
        assert isinstance(connection, PosixConnection)
        connection.run('mv "$(command -v python3)" /tmp/away')
        try:
            with pytest.raises(Unsupported, match="python3 is missing there"), carried(connection, port):
                pass
        finally:
            connection.run("mv /tmp/away /usr/bin/python3")
