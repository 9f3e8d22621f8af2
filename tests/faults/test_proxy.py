"""The proxy between us and sshd: real sockets on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.faults.proxy import Address, Front, Proxy
from harness.models.shaping import Shaping

pytestmark = [
    pytest.mark.usefixtures("cut_connections"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def echo() -> Iterator[int]:
    """A server that sends everything back, and ends when its client has ended; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(client: socket.socket) -> None:
            with client:
                try:
                    while data := client.recv(65536):
                        client.sendall(data)
                except OSError:
                    pass

        def accept() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as made:
        yield made


@pytest.fixture
def port() -> Iterator[int]:
    with echo() as number:
        yield number


def connect(front: Front) -> socket.socket:
    return socket.create_connection(("127.0.0.1", front.port), timeout=20)


def exchange(client: socket.socket, data: bytes) -> bytes:
    """Send all, close this half, read to the end."""

    def send() -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    parts = []
    while part := client.recv(1 << 20):
        parts.append(part)
    sender.join()
    return b"".join(parts)


@pytest.mark.parametrize("shaping", [Shaping(), Shaping(rtt_ms=5, jitter_ms=5), Shaping(loss_percent=0.02)])
def test_every_byte_arrives_in_order_and_the_end_too(proxy: Proxy, port: int, shaping: Shaping) -> None:
    data = bytes(range(256)) * 40_000
    front = proxy.front(Address("127.0.0.1", port), shaping)
    with connect(front) as client:
        assert exchange(client, data) == data
    assert (front.traffic.up, front.traffic.down) == (len(data), len(data))


def test_a_command_may_be_the_way(proxy: Proxy) -> None:
    front = proxy.front(Address(command="cat"))
    with connect(front) as client:
        assert exchange(client, b"through a pipe" * 100_000) == b"through a pipe" * 100_000


def test_a_round_trip_takes_its_time(proxy: Proxy, port: int) -> None:
    front = proxy.front(Address("127.0.0.1", port), Shaping(rtt_ms=100))
    with connect(front) as client:
        client.sendall(b"x")
        client.recv(1)
        started = time.monotonic()
        for _ in range(3):
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert time.monotonic() - started >= 0.29
    assert front.traffic.round_trips == 4


def test_the_rate_is_kept(proxy: Proxy, port: int) -> None:
    front = proxy.front(Address("127.0.0.1", port), Shaping(rate_kbit=800))
    started = time.monotonic()
    with connect(front) as client:
        assert len(exchange(client, bytes(50_000))) == 50_000
    assert time.monotonic() - started >= 0.5, "50 kB at 100 kB/s"


def test_a_sender_waits_for_a_reader_that_does_not_read(proxy: Proxy, port: int) -> None:
    front = proxy.front(Address("127.0.0.1", port))
    with connect(front) as client:
        client.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 1 << 30:
                sent += client.send(bytes(1 << 20))
        assert sent < 256 << 20


def test_cut_resets_what_is_open_and_lets_new_ones_in(proxy: Proxy, port: int) -> None:
    front = proxy.front(Address("127.0.0.1", port))
    with connect(front) as client:
        client.sendall(b"x")
        client.recv(1)
        assert front.cut() == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with connect(front) as client:
        assert exchange(client, b"again") == b"again"


def test_what_is_blocked_hears_nothing_until_it_is_let_go(proxy: Proxy, port: int) -> None:
    front = proxy.front(Address("127.0.0.1", port))
    with connect(front) as client:
        front.block(True)
        client.sendall(b"x")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        front.block(False)
        client.settimeout(20)
        assert client.recv(1) == b"x"


def test_an_action_is_done_midway(proxy: Proxy, port: int) -> None:
    front = proxy.front(Address("127.0.0.1", port))

    def cut() -> None:
        front.cut()

    front.after(1000, cut)
    with connect(front) as client:
        client.sendall(bytes(900))
        assert client.recv(900)
        with pytest.raises(OSError):
            client.sendall(bytes(900))
            while client.recv(65536):
                pass
            raise ConnectionError("it ended in peace")


def test_a_connection_is_cut_after_so_much(proxy: Proxy, port: int) -> None:
    front = proxy.front(Address("127.0.0.1", port), Shaping(cut_after_kb=10))
    with connect(front) as client, pytest.raises(OSError):
        for _ in range(1000):
            client.sendall(bytes(1000))
            client.recv(1000)


def test_who_refuses_there_refuses_here_until_it_listens_again(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    front = proxy.front(Address("127.0.0.1", free))
    with contextlib.suppress(ConnectionResetError), connect(front) as client:
        assert client.recv(1) == b""
    with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
        connect(front)
    with socket.create_server(("127.0.0.1", free)):
        front.knock()
        connect(front).close()
