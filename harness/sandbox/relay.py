"""Connect to a port inside a sandbox's network: how sshd there is reached from outside.

    relay --pid P --start-time T [--rootless] -- PORT [--fdpass]

Joins the network of process P (checked against its start time), connects to 127.0.0.1:PORT there, and passes bytes
between that and its own stdin and stdout until either side ends: what ssh_config(5) calls a ProxyCommand. With
`--fdpass` it passes the connected socket itself on its stdout instead, and ends (ProxyUseFdpass).
Exit status: 0; 125, with one line on stderr, when there is no way in.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel
from harness.sandbox.enter import FAILED, Request, open_process

TYPE_CHECKING = False  # `typing` costs milliseconds of start
if TYPE_CHECKING:
    from socket import socket

CHUNK = 1 << 16


def main(arguments: list[str]) -> int:
    import socket as sockets

    try:
        request = Request(arguments)
        port = int(request.argv[0])
    except ValueError as error:
        return _fail(str(error))
    try:
        directory = open_process(request.pid, request.start_time)
        join_network(directory, rootless=request.rootless)
        with sockets.create_connection(("127.0.0.1", port)) as connected:
            if request.argv[1:] == ["--fdpass"]:
                with sockets.socket(fileno=os.dup(1)) as passage:
                    sockets.send_fds(passage, [b"\0"], [connected.fileno()])
                return 0
            connected.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            connected.setblocking(False)
            os.set_blocking(0, False)
            os.set_blocking(1, False)
            _relay(connected)
    except OSError as error:
        return _fail(error.strerror or str(error))
    return 0


def connect(pid: int, start_time: int, port: int) -> socket:
    """The same from within this process, of which only a thread goes there. Raises OSError, where there is no way in,
    where nobody listens, and where it takes a process of its own (another user name space, too few rights)."""
    import socket as sockets
    import threading

    found: list[socket | OSError] = []

    def go() -> None:
        try:
            directory = open_process(pid, start_time)
            try:
                join_network(directory, rootless=False)
            finally:
                os.close(directory)
            found.append(sockets.create_connection(("127.0.0.1", port)))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=go, name="relay")
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _fail(message: str) -> int:
    os.write(2, f"harness-relay: {message}\n".encode(errors="backslashreplace"))
    return FAILED


def join_network(directory: int, *, rootless: bool) -> None:
    """That of the process whose open /proc/PID this is."""
    network = os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        if os.fstat(network).st_ino == os.stat("/proc/thread-self/ns/net").st_ino:
            return
        if rootless:
            user = os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
            kernel.setns(user, kernel.CLONE_NEWUSER, "join the sandbox's user name space")
        kernel.setns(network, kernel.CLONE_NEWNET, "join the sandbox's network")
    finally:
        os.close(network)


class Half:
    """One direction: what has been read from `source` and not yet been written to `sink`."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.held = b""
        self.ended = False

    def move(self) -> None:
        try:
            if not self.held and not self.ended:
                self.held = os.read(self.source, CHUNK)
                self.ended = not self.held
            if self.held:
                self.held = self.held[os.write(self.sink, self.held) :]
        except BlockingIOError:
            pass


def _relay(connected: socket) -> None:
    """Until the far side ends, or ours has and all of it is written."""
    import select

    number = connected.fileno()
    out, back = Half(0, number), Half(number, 1)
    closed = False
    while not (back.ended and not back.held):
        poll = select.poll()
        wanted: dict[int, int] = {}
        for half in (out, back):
            if half.held:
                wanted[half.sink] = wanted.get(half.sink, 0) | select.POLLOUT
            elif not half.ended:
                wanted[half.source] = wanted.get(half.source, 0) | select.POLLIN
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        poll.poll()
        for half in (out, back):
            half.move()
        if out.ended and not out.held and not closed:
            closed = True
            connected.shutdown(1)
