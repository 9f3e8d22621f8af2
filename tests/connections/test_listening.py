"""A socket here that hears whoever connects to a platform's own loopback."""

from __future__ import annotations

import socket

import pytest

from harness.connections.base import Connection
from harness.errors import PortTaken, Unsupported


def test_a_listener_on_its_loopback(connection: Connection, request: pytest.FixtureRequest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:  # the local connection's loopback is this host's
        port = int(free.getsockname()[1])
    if "serial" in request.node.callspec.id:
        with pytest.raises(Unsupported, match="a listener on its loopback"), connection.listen(port):
            pass
        return
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
