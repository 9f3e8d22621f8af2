"""Listen on a port inside a sandbox's or container's network, for a process outside.

    listen --pid P --start-time T [--rootless] -- PORT

Joins the network of process P (checked against its start time) and passes a socket that listens there on
127.0.0.1:PORT on its own stdout, which is a UNIX socket.
Exit status: 0; 98 when something listens there already; 125, with one line on stderr, when there is no way in.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox.enter import FAILED, Request, open_process
from harness.sandbox.relay import join_network

TYPE_CHECKING = False  # `typing` costs milliseconds of start
if TYPE_CHECKING:
    from socket import socket

TAKEN = 98
"""EADDRINUSE, errno(3)."""


def main(arguments: list[str]) -> int:
    import socket as sockets

    try:
        request = Request(arguments)
        listening = _there(request.pid, request.start_time, int(request.argv[0]), rootless=request.rootless)
        with listening, sockets.socket(fileno=os.dup(1)) as passage:
            sockets.send_fds(passage, [b"\0"], [listening.fileno()])
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == TAKEN:
            return TAKEN
        words = getattr(error, "strerror", None) or error
        os.write(2, f"harness-listen: {words}\n".encode(errors="backslashreplace"))
        return FAILED
    return 0


def listen(pid: int, start_time: int, port: int) -> socket:
    """The same from within this process, of which only a thread goes there. Raises OSError, also where it takes a
    process of its own (another user name space)."""
    import threading

    found: list[socket | OSError] = []

    def go() -> None:
        try:
            found.append(_there(pid, start_time, port, rootless=False))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=go, name="listen")
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _there(pid: int, start_time: int, port: int, *, rootless: bool) -> socket:
    """The caller's thread stays in that network."""
    import socket as sockets

    directory = open_process(pid, start_time)
    try:
        join_network(directory, rootless=rootless)
    finally:
        os.close(directory)
    listening = sockets.socket()
    try:
        # A connection of an earlier run that is still winding down is none to wait for.
        listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening
